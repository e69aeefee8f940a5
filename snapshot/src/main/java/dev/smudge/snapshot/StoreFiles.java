package dev.smudge.snapshot;

import dev.smudge.snapshot.StoredState.Geometry;
import dev.smudge.snapshot.stream.PageDamageException;
import java.io.Closeable;
import java.io.File;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import org.jspecify.annotations.Nullable;

/** What a {@link SnapshotStore} does with files: its own, the one beside it, plain images. */
final class StoreFiles {
  private StoreFiles() {}

  /**
   * The stores that are open in this process, each with its lock. A lock of the system's would not
   * do for these: whoever closes a file gives up all locks that the process has on it, and so would
   * a second store that is refused.
   */
  private static final ConcurrentMap<Path, Lock> OPEN = new ConcurrentHashMap<>();

  /** {@return the one name of a file, whatever links lead to it}. It is made if there is none. */
  static Path realName(Path file) throws IOException {
    if (!Files.exists(file)) { // a link to a file that there is not leads to one after this
      new RandomAccessFile(file.toFile(), "rw").close();
      forceDirectory(file.toRealPath());
    }
    Path name = file.toRealPath();
    if (!Files.isRegularFile(name)) {
      throw new IOException(
          name
              + (Files.isDirectory(name) ? " is a directory" : " is a device, a pipe or a socket")
              + ": a store needs a file");
    }
    return name;
  }

  /** Keeps others out until it is closed. A file of its own, as the store's may be replaced. */
  static Closeable lock(Path file) throws IOException {
    Lock lock = new Lock(file);
    if (OPEN.putIfAbsent(file, lock) != null) {
      throw new IOException(file + " is open already in this process");
    }
    try {
      for (Path other : OPEN.keySet()) { // of two that are opened at once, each finds the other
        if (!other.equals(file) && isSame(other, file)) {
          throw new IOException(file + " is open already in this process, as " + other);
        }
      }
      lock.take();
    } catch (Throwable e) {
      closeAfter(e, lock);
      throw e;
    }
    return lock;
  }

  private static boolean isSame(Path other, Path file) throws IOException {
    try {
      return Files.isSameFile(other, file);
    } catch (NoSuchFileException e) { // somebody has removed the other
      return false;
    }
  }

  /** A store's, in this process and in others. */
  private static final class Lock implements Closeable {
    private final Path file;
    private @Nullable FileChannel channel;

    Lock(Path file) {
      this.file = file;
    }

    void take() throws IOException {
      Path name = beside(file, ".lock");
      checkIsNotInTheWay(name);
      FileChannel beside =
          FileChannel.open(name, StandardOpenOption.WRITE, StandardOpenOption.CREATE);
      channel = beside;
      try {
        if (beside.tryLock() == null) {
          throw new IOException(file + " is open already in another process");
        }
      } catch (OverlappingFileLockException e) { // by a copy of this class, of another class loader
        throw new IOException(file + " is open already in this process", e);
      }
    }

    @Override
    public void close() throws IOException {
      try {
        if (channel != null) {
          channel.close();
        }
      } finally {
        OPEN.remove(file, this);
      }
    }
  }

  /** Closes what a call that has failed had opened. Throws nothing. */
  static void closeAfter(Throwable error, @Nullable AutoCloseable opened) {
    try {
      if (opened != null) {
        opened.close();
      }
    } catch (Throwable e) {
      if (!e.equals(error)) { // the JVM throws one OutOfMemoryError several times
        error.addSuppressed(e);
      }
    }
  }

  private static Path beside(Path file, String ending) {
    return file.resolveSibling(file.getFileName() + ending);
  }

  /** Refuses what is no file and has the name that a file of the store is to have. */
  private static void checkIsNotInTheWay(Path name) throws IOException {
    if (Files.exists(name, LinkOption.NOFOLLOW_LINKS)
        && !Files.isRegularFile(name, LinkOption.NOFOLLOW_LINKS)) {
      throw new IOException(name + " is in the way of a store's file of that name");
    }
  }

  /** The entry of a file in its directory is on the disk, where directories can be opened. */
  static void forceDirectory(Path file) throws IOException {
    Path directory = file.toAbsolutePath().getParent();
    if (File.separatorChar == '/' && directory != null) {
      boolean interrupted = Thread.interrupted(); // it would close the channel
      try (FileChannel channel = FileChannel.open(directory, StandardOpenOption.READ)) {
        channel.force(true);
      } finally {
        if (interrupted) {
          Thread.currentThread().interrupt();
        }
      }
    }
  }

  /**
   * Writes what is needed into a new file, which takes the place of the old one, also in the guest.
   * Whoever calls this then has its entry in the directory forced.
   */
  static void compact(StoredGuest<?> guest, Path file) throws IOException {
    StoreIndex index = guest.index;
    if (Files.exists(file)) { // else somebody has removed it, and it is written anew
      index.file.size(); // and if it was replaced, the file that is there now is not the store's
    }
    Path beside = beside(file, ".compact");
    checkIsNotInTheWay(beside);
    if (Files.exists(beside(beside, ".lock"))) {
      throw new IOException(
          beside + " is a store, and has the name of the file that a compaction of this one makes");
    }
    boolean others = Files.exists(beside);
    StoreFile.FileDisk disk = new StoreFile.FileDisk(beside);
    StoreIndex fresh = new StoreIndex(new StoreFile(disk));
    boolean moved = false;
    try {
      createInPlaceOf(beside, fresh.file);
      others = false;
      fresh.file.forces = false; // once, before it gets its name
      PlaceTable parent = new PlaceTable(fresh);
      for (StoredState state : index.states.values()) {
        if (!state.deleted) {
          parent.moveTo(index.listedParent(state));
          copy(index, state, fresh, parent);
        }
      }
      if (fresh.lastNumber < index.lastNumber) {
        fresh.writeDeletion(index.lastNumber);
        fresh.lastNumber = index.lastNumber;
      }
      fresh.file.forces = true;
      fresh.file.force();
      PlaceTable places = new PlaceTable(fresh); // first
      try {
        Files.move(
            beside, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        moved = true;
      } finally {
        if (moved || Files.notExists(beside)) { // after an error too: the old file has no name then
          moved = true;
          disk.name = file; // nothing is called from here on
          guest.index = fresh;
          guest.places = places;
        }
      }
    } finally {
      if (!moved) {
        fresh.close();
        if (!others) {
          Files.deleteIfExists(beside);
        }
      }
    }
  }

  /** A compaction that was killed may have left a file, which begins as a store does. */
  private static void createInPlaceOf(Path beside, StoreFile file) throws IOException {
    try {
      file.create();
    } catch (PageDamageException e) {
      throw new IOException(
          beside + " was not made by a compaction, and has the name of the file that one makes", e);
    }
  }

  private static void copy(StoreIndex index, StoredState state, StoreIndex fresh, PlaceTable there)
      throws IOException {
    long parent = index.listedParent(state);
    fresh.file.beginGroup();
    StoredState to =
        new StoredState(
            state.number, parent, state.millis, state.name, state.slots, fresh.file.end());
    try (StateWriter writer = StateWriter.begin(fresh, to, there)) {
      for (Geometry slot : state.slots) {
        writer.slot(slot.slotId(), slot.pageBytes());
        byte[] page = new byte[slot.pageBytes()];
        for (Map.Entry<Long, Long> entry : places(index, state, parent, slot).entrySet()) {
          index.pages.read(entry.getValue(), page);
          writer.page(entry.getKey(), page);
        }
      }
      writer.finish(index.machine(state));
    }
  }

  /** Where the pages are that a state has besides an ancestor. */
  private static Map<Long, Long> places(
      StoreIndex index, StoredState state, long ancestor, Geometry slot) {
    TreeMap<Long, Long> places = new TreeMap<>();
    for (StoredState each : index.line(state.number)) {
      if (each.number == ancestor) {
        break;
      }
      StoredState.Pages of = each.pages.get(slot.slotId());
      for (int i = 0; of != null && i < of.count(); i++) {
        places.putIfAbsent(of.page(i), of.place(i));
      }
    }
    return places;
  }

  /** Writes a slot's RAM, as it is in a state, into a new file. */
  static void exportImage(StoreIndex index, long number, Geometry slot, Path image)
      throws IOException {
    byte[] page = new byte[slot.pageBytes()];
    byte[] zero = new byte[slot.pageBytes()];
    try (FileChannel to =
        FileChannel.open(
            image,
            StandardOpenOption.WRITE,
            StandardOpenOption.CREATE_NEW,
            StandardOpenOption.SPARSE)) {
      writeFully(to, new byte[1], slot.pageCount() * slot.pageBytes() - 1); // so long in any case
      PlaceTable places = new PlaceTable(index);
      places.moveTo(number);
      int id = slot.slotId();
      for (long at = places.next(id, 0); at < slot.pageCount(); at = places.next(id, at + 1)) {
        index.pages.read(places.find(id, at), page);
        if (!Arrays.equals(page, zero)) {
          writeFully(to, page, at * slot.pageBytes());
        }
      }
    }
  }

  private static void writeFully(FileChannel to, byte[] bytes, long at) throws IOException {
    ByteBuffer from = ByteBuffer.wrap(bytes);
    while (from.hasRemaining()) {
      to.write(from, at + from.position());
    }
  }

  /** Hands the pages of a file to a writer. */
  static void importImage(FileChannel from, Geometry slot, StateWriter writer) throws IOException {
    byte[] page = new byte[slot.pageBytes()];
    writer.slot(slot.slotId(), slot.pageBytes());
    long end = from.size();
    for (long at = 0; at < end; at += page.length) {
      Arrays.fill(page, (byte) 0);
      ByteBuffer to = ByteBuffer.wrap(page);
      while (to.hasRemaining() && from.read(to, at + to.position()) >= 0) {
        // on
      }
      writer.page(at / page.length, page);
    }
  }
}
