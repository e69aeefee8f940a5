package dev.smudge.linux;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

/** Calls on real files, and what is left of them: nothing. */
@EnabledOnOs(OS.LINUX)
@Timeout(60)
class DescriptorTest {
  private static final String NAME = "smudge-descriptor-test";
  private static final long FIONREAD = 0x541B; // number of bytes that can be read
  private static final long NO_REQUEST = 0x1234;

  @TempDir Path directory;
  private Path file = Path.of("");
  private int pageSize;

  @BeforeEach
  void makeFile() throws IOException {
    pageSize = Libc.pageSize();
    file = Files.write(directory.resolve(NAME), new byte[2 * pageSize]);
  }

  @AfterEach
  void nothingIsLeft() throws IOException {
    assertEquals(List.of(), open());
  }

  /** Descriptors and mappings that this process has of the file. */
  private static List<String> open() throws IOException {
    try (Stream<Path> files = Files.list(Path.of("/proc/self/fd"));
        Stream<String> mappings = Files.lines(Path.of("/proc/self/maps"))) {
      return Stream.concat(files.map(DescriptorTest::target), mappings)
          .filter(line -> line.contains(NAME))
          .toList();
    }
  }

  private static String target(Path link) {
    try {
      return Files.readSymbolicLink(link).toString();
    } catch (IOException e) {
      return ""; // Somebody has closed it meanwhile.
    }
  }

  private Descriptor openFile() {
    return Descriptor.open(file.toString());
  }

  /** Opens the file under a number that was closed, which the kernel gives to the next one. */
  private Descriptor openFileAs(int fd) {
    Descriptor next = openFile();
    while (next.fd() != fd) { // a thread of the JVM had opened something meanwhile
      next.close();
      next = openFile();
    }
    return next;
  }

  private static void refused(String call, int errno, Executable executable) {
    ErrnoException e = assertThrows(ErrnoException.class, executable);
    assertEquals(errno, e.errno(), e::getMessage);
    assertEquals(call, e.call());
  }

  @Test
  void open_fileIsThere_hasOneDescriptorThatChildrenDoNotInherit() throws IOException {
    try (Descriptor descriptor = openFile()) {
      assertTrue(descriptor.isOwned());
      assertEquals(1, open().size());
      String info = Files.readString(Path.of("/proc/self/fdinfo/" + descriptor.fd()));
      String flags = info.replaceAll("(?s).*flags:\\s*(\\d+).*", "$1");
      assertEquals(
          Libc.O_RDWR | Libc.O_CLOEXEC,
          Integer.parseInt(flags, 8) & (3 | Libc.O_CLOEXEC),
          () -> info);
    }
  }

  @Test
  void open_noSuchFile_isRefused() {
    refused("open", Errno.ENOENT, () -> Descriptor.open(directory.resolve("none").toString()));
  }

  @Test
  void open_directory_isRefused() {
    assertThrows(ErrnoException.class, () -> Descriptor.open(directory.toString()));
  }

  @Test
  void owned_negativeNumber_isRefused() {
    assertThrows(IllegalArgumentException.class, () -> Descriptor.owned(-1, "nothing"));
    assertThrows(IllegalArgumentException.class, () -> Descriptor.borrowed(-1, "nothing"));
  }

  @Test
  void close_borrowed_leavesTheFileOpen() {
    try (Descriptor descriptor = openFile()) {
      Descriptor borrowed = Descriptor.borrowed(descriptor.fd(), "the file");
      assertFalse(borrowed.isOwned());
      borrowed.close();
      assertThrows(IllegalStateException.class, borrowed::fd);
      try (Arena arena = Arena.ofConfined();
          Arena results = Arena.ofConfined()) {
        assertEquals(2 * pageSize, readable(descriptor, results));
        assertEquals(pageSize, descriptor.map("file", 0, pageSize, arena).byteSize());
      }
    }
  }

  private static int readable(Descriptor descriptor, Arena arena) {
    MemorySegment result = arena.allocate(ValueLayout.JAVA_INT);
    descriptor.ioctl("FIONREAD", FIONREAD, result, MemorySegment.NULL);
    return result.get(ValueLayout.JAVA_INT, 0);
  }

  @Test
  void close_twice_closesOnce() throws IOException {
    Descriptor descriptor = openFile();
    int fd = descriptor.fd();
    descriptor.close();
    try (Descriptor next = openFileAs(fd)) {
      assertTrue(next.isOwned());
      descriptor.close();
      assertEquals(1, open().size());
    }
  }

  @Test
  void anyCall_afterClose_isRefusedAndReachesNoOtherFile() throws IOException {
    Descriptor descriptor = openFile();
    int fd = descriptor.fd();
    descriptor.close();
    try (Descriptor next = openFileAs(fd);
        Arena arena = Arena.ofConfined()) {
      assertEquals(fd, next.fd());
      MemorySegment argument = arena.allocate(8);
      for (Executable call :
          List.<Executable>of(
              descriptor::fd,
              () -> descriptor.ioctl("FIONREAD", FIONREAD, argument.address()),
              () -> descriptor.tryIoctl(FIONREAD, argument.address()),
              () -> descriptor.ioctlWithoutSignals("FIONREAD", FIONREAD, argument.address()),
              () -> descriptor.ioctl("FIONREAD", FIONREAD, argument, MemorySegment.NULL),
              () -> descriptor.map("file", 0, pageSize, arena),
              () -> descriptor.canMap(0, pageSize))) {
        IllegalStateException e = assertThrows(IllegalStateException.class, call);
        assertEquals(file + " is closed", e.getMessage());
      }
      assertEquals(0, argument.get(ValueLayout.JAVA_LONG, 0));
    }
  }

  @Test
  void ioctl_kernelRefuses_namesTheCall() {
    try (Descriptor descriptor = openFile();
        Arena arena = Arena.ofConfined()) {
      MemorySegment argument = arena.allocate(8);
      refused("NO_REQUEST", Errno.ENOTTY, () -> descriptor.ioctl("NO_REQUEST", NO_REQUEST, 0));
      refused(
          "NO_REQUEST",
          Errno.ENOTTY,
          () -> descriptor.ioctl("NO_REQUEST", NO_REQUEST, argument, MemorySegment.NULL));
      refused(
          "NO_REQUEST",
          Errno.ENOTTY,
          () -> descriptor.ioctlWithoutSignals("NO_REQUEST", NO_REQUEST, 0));
      assertEquals(-Errno.ENOTTY, descriptor.tryIoctl(NO_REQUEST, 0));
    }
  }

  @Test
  void ioctl_keptMemoryIsClosed_isRefused() {
    Arena arena = Arena.ofConfined();
    MemorySegment kept = arena.allocate(8);
    arena.close();
    try (Descriptor descriptor = openFile();
        Arena open = Arena.ofConfined()) {
      MemorySegment argument = open.allocate(8);
      assertThrows(
          IllegalStateException.class,
          () -> descriptor.ioctl("FIONREAD", FIONREAD, argument, kept));
    }
  }

  @Test
  void map_partOfTheFile_isSharedAndOutlivesTheDescriptor() throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment mapping;
      try (Descriptor descriptor = openFile()) {
        mapping = descriptor.map("file", pageSize, pageSize, arena);
      }
      mapping.set(ValueLayout.JAVA_BYTE, 5, (byte) 7);
      byte[] content = Files.readAllBytes(file);
      assertEquals(7, content[pageSize + 5]);
      assertEquals(2 * pageSize, content.length);
    }
  }

  @Test
  void map_beyondTheEnd_isRefusedAndLeavesNothing() throws IOException {
    try (Descriptor descriptor = openFile()) {
      try (Arena arena = Arena.ofConfined()) {
        refused("mmap file", Errno.EFAULT, () -> descriptor.map("file", 0, 3L * pageSize, arena));
      }
      assertEquals(1, open().size());
      assertTrue(descriptor.canMap(pageSize, pageSize));
      assertFalse(descriptor.canMap(2L * pageSize, pageSize));
      assertEquals(1, open().size());
    }
  }

  @Test
  void map_badArguments_areRefused() {
    try (Descriptor descriptor = openFile();
        Arena arena = Arena.ofConfined()) {
      refused("mmap file", Errno.EINVAL, () -> descriptor.map("file", 1, pageSize, arena));
      refused("mmap file", Errno.EINVAL, () -> descriptor.map("file", 0, 0, arena));
    }
  }
}
