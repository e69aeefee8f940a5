package dev.smudge.snapshot;

import dev.smudge.snapshot.stream.PageRunEncoder;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.NavigableMap;

/**
 * Writes one state behind the others: {@link #begin}, {@link #page} in ascending order per slot,
 * {@link #finish}. Until that returns, the file counts as it was.
 */
final class StateWriter implements AutoCloseable {
  private final StoreIndex index;
  private final StoreFile file;
  private final StoredState state;
  private final PlaceTable parent;
  private final PageRunEncoder encoder = new PageRunEncoder();
  private final long[] pages = new long[PageRunEncoder.MAX_PAGES]; // of the run
  private int slotId;
  private byte[] before = {};
  private byte[] zero = {};

  private StateWriter(StoreIndex index, StoredState state, PlaceTable parent) {
    this.index = index;
    this.file = index.file;
    this.state = state;
    this.parent = parent;
  }

  /**
   * Begins a state.
   *
   * @param parent where the pages of its parent are
   */
  static StateWriter begin(StoreIndex index, StoredState state, PlaceTable parent)
      throws IOException {
    StateWriter writer = new StateWriter(index, state, parent);
    try {
      index.file.append(StoreLayout.BEGIN, StoreIndex.begin(state));
    } catch (Throwable e) {
      StoreFiles.closeAfter(e, writer);
      throw e;
    }
    return writer;
  }

  /** The pages of a slot come. */
  void slot(int id, int pageBytes) throws IOException {
    flush();
    slotId = id;
    if (before.length != pageBytes) {
      before = new byte[pageBytes];
      zero = new byte[pageBytes];
    }
    encoder.begin(id, pageBytes);
  }

  /** A page, which is written if it is another than in the parent. */
  void page(long page, byte[] content) throws IOException {
    long place = parent.find(slotId, page);
    if (place < 0) {
      if (!Arrays.equals(content, zero)) {
        add(page, content, null, 0);
      }
      return;
    }
    index.pages.read(place, before);
    if (!Arrays.equals(before, content)) {
      long key = index.pages.baseOf(place);
      if (key == place) {
        add(page, content, before, key);
      } else {
        add(page, content, index.pages.base(key), key);
      }
    }
  }

  private void add(
      long page, byte[] content, byte @org.jspecify.annotations.Nullable [] to, long key)
      throws IOException {
    pages[encoder.count()] = page;
    encoder.add(page, content, to, key);
    if (encoder.isFull()) {
      flush();
      encoder.begin(slotId, content.length);
    }
  }

  private void flush() throws IOException {
    int count = encoder.count();
    if (count > 0) {
      long at = file.end();
      for (ByteBuffer part : encoder.finish()) {
        file.write(part);
      }
      for (int i = 0; i < count; i++) {
        state.add(slotId, pages[i], at << StoreLayout.KEY_SHIFT | i);
      }
    }
  }

  /** The state is whole: on the disk, and in the index. */
  void finish(byte[] machine) throws IOException {
    flush();
    for (int at = 0; at < machine.length; at += StoreLayout.MAX_BODY) {
      int length = Math.min(StoreLayout.MAX_BODY, machine.length - at);
      state.addMachine(file.end());
      file.append(StoreLayout.MACHINE, ByteBuffer.wrap(machine, at, length).slice());
    }
    NavigableMap<Long, StoredState> all = index.with(state); // first
    file.force(); // before the end: which says that all is there
    ByteBuffer end = ByteBuffer.allocate(16).putLong(state.number).putLong(state.begin).flip();
    file.append(StoreLayout.END, end);
    file.force();
    state.end = file.end();
    index.commit(all, state.number);
  }

  /** If the state is not whole, the file is as long as before, if it can be. */
  @Override
  public void close() throws IOException {
    encoder.close();
    file.cutOff();
  }
}
