package dev.smudge.snapshot;

import dev.smudge.snapshot.stream.PageDamageException;
import dev.smudge.snapshot.stream.PageRun;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Objects;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;

/**
 * The file of a {@link SnapshotStore} as records at places. What is written counts from the next
 * {@link #commit} on; before it writes again, it cuts off what does not count.
 */
final class StoreFile implements AutoCloseable {
  /** The operations on the disk, so that a test can have them fail. */
  interface Disk extends AutoCloseable {
    int read(ByteBuffer to, long at) throws IOException;

    int write(ByteBuffer from, long at) throws IOException;

    /** All that was written is on the disk when this returns. */
    void force() throws IOException;

    void truncate(long size) throws IOException;

    long size() throws IOException;

    @Override
    void close() throws IOException;
  }

  /**
   * The file system's. No channel: an interrupt of the thread that uses one closes it for all who
   * come after.
   */
  static final class FileDisk implements Disk {
    private final RandomAccessFile file;
    private final @Nullable Object key; // which file it is; null where the system does not say
    Path name; // by stores alone: see StoreFiles.compact

    FileDisk(Path name) throws IOException {
      this.file = new RandomAccessFile(name.toFile(), "rw");
      this.name = name;
      try {
        this.key = attributes().fileKey();
      } catch (Throwable e) {
        StoreFiles.closeAfter(e, file);
        throw e;
      }
    }

    private BasicFileAttributes attributes() throws IOException {
      return Files.readAttributes(name, BasicFileAttributes.class);
    }

    @Override
    public int read(ByteBuffer to, long at) throws IOException {
      file.seek(at);
      int count = file.read(to.array(), to.arrayOffset() + to.position(), to.remaining());
      to.position(to.position() + Math.max(0, count));
      return count;
    }

    @Override
    public int write(ByteBuffer from, long at) throws IOException {
      file.seek(at);
      int count = from.remaining();
      file.write(from.array(), from.arrayOffset() + from.position(), count);
      from.position(from.limit());
      return count;
    }

    @Override
    public void force() throws IOException {
      file.getFD().sync();
    }

    @Override
    public void truncate(long size) throws IOException {
      if (size < file.length()) {
        file.setLength(size);
      }
    }

    /** Of what has the name now: what is written to a file that has no name any more is lost. */
    @Override
    public long size() throws IOException {
      BasicFileAttributes now = attributes();
      if (!Objects.equals(key, now.fileKey())) {
        throw new IOException(
            name + " is another file than the store has open: somebody has replaced it");
      }
      return now.size();
    }

    @Override
    public void close() throws IOException {
      file.close();
    }
  }

  /** A record that was read. */
  record Entry(int type, ByteBuffer body, long end) {}

  private final Disk disk;
  private final CRC32C crc = new CRC32C();
  private final ByteBuffer small = ByteBuffer.allocate(StoreLayout.RECORD_HEADER);
  private long committed; // what is behind it does not count
  private long end; // of what was written
  private boolean dirtyTail; // there may be something behind 'committed'

  /**
   * Whether {@link #force} waits for the disk: not while a file is written that has no name yet.
   */
  boolean forces = true;

  /** How long the waits for the disk were since a group was begun, in nanoseconds. */
  long waited;

  StoreFile(Disk disk) {
    this.disk = disk;
  }

  private ByteBuffer header() {
    ByteBuffer header = ByteBuffer.allocate(StoreLayout.HEADER_SIZE);
    header.putLong(StoreLayout.MAGIC).putInt(StoreLayout.VERSION);
    header.putInt(checksum(header.slice(0, StoreLayout.HEADER_CHECKED)));
    return header.flip();
  }

  /** Begins a file that is empty, or was cut short while it was begun. */
  void create() throws IOException {
    ByteBuffer header = header();
    ByteBuffer there = read(0, StoreLayout.HEADER_SIZE);
    if (!there.equals(header.slice(0, there.remaining()))) {
      throw new PageDamageException("this is no snapshot store");
    }
    disk.truncate(0);
    writeFully(header, 0);
    disk.force();
    committed = StoreLayout.HEADER_SIZE;
    end = committed;
  }

  /** Checks the header of a file that is there. */
  void checkHeader() throws IOException {
    ByteBuffer header = read(0, StoreLayout.HEADER_SIZE);
    if (header.remaining() < StoreLayout.HEADER_SIZE
        || header.getLong(0) != StoreLayout.MAGIC
        || header.getInt(StoreLayout.HEADER_CHECKED)
            != checksum(header.slice(0, StoreLayout.HEADER_CHECKED))) {
      throw new PageDamageException("this is no snapshot store, or its first bytes are damaged");
    }
    if (header.getInt(8) != StoreLayout.VERSION) {
      throw new PageDamageException(
          "a store of version "
              + header.getInt(8)
              + "; only "
              + StoreLayout.VERSION
              + " is understood");
    }
  }

  long size() throws IOException {
    return disk.size();
  }

  /** {@return up to where the file counts} */
  long committed() {
    return committed;
  }

  /** {@return where the next record comes} */
  long end() {
    return end;
  }

  /** The file counts up to a place; what is behind it is cut off before the next write. */
  void countUpTo(long place) {
    committed = place;
    end = place;
    dirtyTail = true;
  }

  /** Before a group is written: what counts is there, and nothing is behind it. */
  void beginGroup() throws IOException {
    long size = disk.size();
    if (size < committed) {
      throw new PageDamageException(
          "the file has "
              + size
              + " bytes, and had "
              + committed
              + " when it was last written: somebody else has cut it off");
    }
    cutOff();
    waited = 0;
    end = committed;
    dirtyTail = true; // from the first write on
  }

  /** Cuts off what does not count: a group that failed would take the room that it had found. */
  void cutOff() throws IOException {
    if (dirtyTail) {
      disk.truncate(committed);
      dirtyTail = false;
    }
  }

  /** Writes a record. */
  void append(int type, ByteBuffer body) throws IOException {
    small.clear().putInt(type).putInt(body.remaining());
    small.putInt(checksum(small.slice(0, StoreLayout.RECORD_CHECKED)));
    int sum = checksum(body.duplicate());
    write(small.flip());
    write(body);
    write(ByteBuffer.allocate(StoreLayout.CRC_SIZE).putInt(sum).flip());
  }

  /** Writes bytes that are no record. */
  void write(ByteBuffer from) throws IOException {
    int length = from.remaining();
    writeFully(from, end);
    end += length;
  }

  private void writeFully(ByteBuffer from, long at) throws IOException {
    long place = at;
    while (from.hasRemaining()) {
      place += disk.write(from, place);
    }
  }

  /** What was written up to here is on the disk. */
  void force() throws IOException {
    if (forces) {
      long begin = System.nanoTime();
      disk.force();
      waited += System.nanoTime() - begin;
    }
  }

  /** Everything that was written counts. */
  void commit() {
    committed = end;
    dirtyTail = false;
  }

  /** Reads up to so many bytes; fewer only where the file ends. */
  ByteBuffer read(long at, int length) throws IOException {
    ByteBuffer to = ByteBuffer.allocate(length);
    read(at, to);
    return to;
  }

  /** As {@link #read(long, int)}, into an empty buffer up to its limit. */
  void read(long at, ByteBuffer to) throws IOException {
    while (to.hasRemaining() && disk.read(to, at + to.position()) >= 0) {
      // on
    }
    to.flip();
  }

  /** Reads a record; null if there is none that is whole. */
  @Nullable Entry record(long at) throws IOException {
    ByteBuffer header = read(at, StoreLayout.RECORD_HEADER);
    if (header.remaining() < StoreLayout.RECORD_HEADER
        || header.getInt(StoreLayout.RECORD_CHECKED)
            != checksum(header.slice(0, StoreLayout.RECORD_CHECKED))) {
      return null;
    }
    int length = header.getInt(4);
    if (length < 0 || length > StoreLayout.MAX_BODY) {
      return null;
    }
    long from = at + StoreLayout.RECORD_HEADER;
    ByteBuffer body = read(from, length + StoreLayout.CRC_SIZE);
    if (body.remaining() < length + StoreLayout.CRC_SIZE
        || body.getInt(length) != checksum(body.slice(0, length))) {
      return null;
    }
    return new Entry(header.getInt(0), body.slice(0, length), from + body.remaining());
  }

  /** Reads the head of a run of pages; null if there is none that is whole. */
  @Nullable PageRun run(long at) throws IOException {
    ByteBuffer prefix = read(at, PageRun.PREFIX);
    try {
      return PageRun.parse(read(at, PageRun.headSize(prefix)));
    } catch (PageDamageException e) {
      return null;
    }
  }

  private int checksum(ByteBuffer bytes) {
    crc.reset();
    crc.update(bytes);
    return (int) crc.getValue();
  }

  @Override
  public void close() throws IOException {
    disk.close();
  }
}
