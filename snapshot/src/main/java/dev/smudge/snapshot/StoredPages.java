package dev.smudge.snapshot;

import dev.smudge.snapshot.stream.PageDamageException;
import dev.smudge.snapshot.stream.PageRun;
import dev.smudge.snapshot.stream.PageRunDecoder;
import java.io.IOException;
import java.nio.ByteBuffer;
import org.jspecify.annotations.Nullable;

/**
 * Reads the pages of a store's file, each by its place: where its run is, and which of the run's
 * pages it is. Keeps its buffers, so a page of a run that was read before allocates nothing.
 */
final class StoredPages implements AutoCloseable {
  private static final int PLACE_MASK = (1 << StoreLayout.KEY_SHIFT) - 1;

  /** The run that a page was read from, and a buffer for the content of the next. */
  private static final class Reading {
    private long runAt = -1;
    private @Nullable PageRun run; // at runAt
    private ByteBuffer content = ByteBuffer.allocate(0);
  }

  private final StoreFile file;
  private final PageRunDecoder decoder = new PageRunDecoder();
  private final PageRunDecoder.Bases bases = this::base; // one object for all pages
  private final PageRunDecoder.Bases noBases = this::noBase;
  private final Reading page = new Reading();
  private final Reading ofBase = new Reading(); // a page is being read meanwhile
  private byte[] base = {};

  StoredPages(StoreFile file) {
    this.file = file;
  }

  /** Reads the page at a place. */
  void read(long place, byte[] into) throws IOException {
    PageRun from = runOf(place, page);
    int index = (int) place & PLACE_MASK;
    if (index >= from.count() || from.pageBytes() != into.length) {
      throw StoreIndex.damage(
          place >>> StoreLayout.KEY_SHIFT, "the run of pages is not the one that was");
    }
    try {
      decoder.read(from, index, content(from, place, page), into, bases);
    } catch (PageDamageException e) {
      PageDamageException named =
          StoreIndex.damage(place >>> StoreLayout.KEY_SHIFT, String.valueOf(e.getMessage()));
      named.initCause(e);
      throw named;
    }
  }

  private ByteBuffer content(PageRun from, long place, Reading by) throws IOException {
    int index = (int) place & PLACE_MASK;
    int length = from.offset(index + 1) - from.offset(index);
    long at = (place >>> StoreLayout.KEY_SHIFT) + from.offset(index);
    if (by.content.capacity() < length) {
      by.content = ByteBuffer.allocate(Math.max(length, from.pageBytes()));
    }
    file.read(at, by.content.clear().limit(length));
    if (by.content.remaining() < length) {
      throw StoreIndex.damage(at, "the file ends in the middle of a page");
    }
    return by.content;
  }

  /** {@return the base that is at a place, valid until the next read} */
  byte[] base(long place) throws IOException {
    PageRun from = runOf(place, ofBase);
    int index = (int) place & PLACE_MASK;
    if (index >= from.count() || from.isDifference(index)) {
      throw StoreIndex.damage(
          place >>> StoreLayout.KEY_SHIFT, "it is the base of a page, and is none");
    }
    if (base.length != from.pageBytes()) {
      base = new byte[from.pageBytes()];
    }
    decoder.read(from, index, content(from, place, ofBase), base, noBases);
    return base;
  }

  /** {@return where the base is to which a later content of the page at a place is stored} */
  long baseOf(long place) throws IOException {
    PageRun from = runOf(place, page);
    boolean difference = from.isDifference((int) place & PLACE_MASK);
    return difference ? content(from, place, page).getLong() : place;
  }

  private PageRun runOf(long place, Reading by) throws IOException {
    long at = place >>> StoreLayout.KEY_SHIFT;
    PageRun found = by.run;
    if (found == null || at != by.runAt) {
      found = file.run(at);
      if (found == null) {
        throw StoreIndex.damage(at, "the head of a run of pages");
      }
      by.run = found;
      by.runAt = at;
    }
    return found;
  }

  private byte[] noBase(long key) {
    throw new AssertionError("the base of a base, " + key); // a base is no difference
  }

  @Override
  public void close() {
    decoder.close();
  }
}
