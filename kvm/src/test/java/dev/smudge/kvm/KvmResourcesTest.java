package dev.smudge.kvm;

import static dev.smudge.kvm.KvmFactsTest.refused;
import static dev.smudge.kvm.KvmGuest.set;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.core.GuestSlot;
import dev.smudge.kvmguest.PageWriter;
import dev.smudge.linux.Descriptor;
import dev.smudge.sync.DirtyLog;
import dev.smudge.sync.DirtyLogBuilder;
import dev.smudge.sync.InitialView;
import dev.smudge.testbase.HeapSqueeze;
import dev.smudge.testbase.OtherJvm;
import dev.smudge.testkit.GuestMachine;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.function.UnaryOperator;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Errors say what is wrong, and whatever happens, no file and no mapping of KVM's is left. */
@RequiresKvm
@Timeout(60)
class KvmResourcesTest {
  private static final Pattern KVM = Pattern.compile("anon_inode:kvm|/dev/kvm|kvm-not");

  private List<String> before = List.of();

  @BeforeEach
  void remember() throws IOException {
    before = open();
  }

  @AfterEach
  void nothingIsLeft() throws IOException {
    assertEquals(before, open());
  }

  /** Files and mappings of this process that are KVM's. */
  private static List<String> open() throws IOException {
    try (Stream<Path> files = Files.list(Path.of("/proc/self/fd"));
        Stream<String> mappings = Files.lines(Path.of("/proc/self/maps"))) {
      Stream<String> names = files.map(KvmResourcesTest::target);
      return Stream.concat(names, mappings)
          .filter(line -> KVM.matcher(line).find())
          .sorted()
          .toList();
    }
  }

  private static String target(Path link) {
    try {
      return link + " " + Files.readSymbolicLink(link);
    } catch (IOException e) {
      return ""; // closed meanwhile
    }
  }

  @Test
  void open_closed_leavesNothing() throws IOException {
    try (KvmGuest guest = new KvmGuest(64, KvmGuest.ring(256)).log()) {
      List<String> now = open();
      // /dev/kvm, the VM, the vCPU; kvm_run, the ring
      assertEquals(before.size() + 5, now.size(), now::toString);
      assertNotNull(guest.vcpu.ring());
    }
  }

  /** Makes VMs and vCPUs while memory runs out; prints how often it did. */
  static final class FullHeap {
    private FullHeap() {}

    private static List<String> openNow() {
      try {
        return open();
      } catch (IOException e) {
        throw new AssertionError(e);
      }
    }

    public static void main(String[] args) {
      KvmVm[] vm = new KvmVm[1];
      int errors = 0;
      try (Kvm kvm = Kvm.open()) {
        vm[0] = kvm.createVm();
        vm[0].createVcpu(0);
        vm[0].close();
        errors +=
            HeapSqueeze.squeeze(
                () -> vm[0] = null,
                () -> vm[0] = kvm.createVm(),
                thrown -> {
                  if (vm[0] != null) {
                    vm[0].close();
                  }
                  assertEquals(1, open().size(), () -> "only /dev/kvm is open: " + openNow());
                });
        errors +=
            HeapSqueeze.squeeze(
                () -> vm[0] = kvm.createVm(),
                () -> vm[0].createVcpu(0),
                thrown -> {
                  vm[0].close();
                  assertEquals(1, open().size(), () -> "only /dev/kvm is open: " + openNow());
                });
      }
      System.out.println(errors);
    }
  }

  @Test
  @Timeout(300)
  void create_memoryRunsOut_leavesNothing() throws Exception {
    List<String> flags = new ArrayList<>(HeapSqueeze.FLAGS);
    flags.add("--enable-native-access=ALL-UNNAMED");
    String output = OtherJvm.run(FullHeap.class, flags);
    assertTrue(Integer.parseInt(output.strip()) > 10, output);
  }

  @Test
  void close_twiceAndInAnyOrder_isFine() {
    KvmGuest guest = new KvmGuest(64, KvmFactsTest.PLAIN).log();
    guest.kvm.close();
    guest.write(1, 2);
    assertEquals(set(2), guest.get());
    guest.vm.close();
    guest.vcpu.close();
    guest.vm.close();
    guest.close();
    assertThrows(IllegalStateException.class, guest.kvm::createVm);
    assertThrows(IllegalStateException.class, () -> guest.vm.createVcpu(1));
    assertThrows(IllegalStateException.class, () -> guest.vm.deleteSlot(1));
    assertThrows(IllegalStateException.class, guest.vm::fd);
  }

  @Test
  void open_noSuchDevice_saysSo() {
    KvmException e = assertThrows(KvmException.class, () -> Kvm.open("/dev/no-such-kvm"));
    assertEquals("open", e.call());
    assertEquals(2, e.errno());
    assertTrue(e.toString().contains(": open: ENOENT (2): no such device"), e::toString);
  }

  @Test
  void open_anotherFile_closesIt(@TempDir Path directory) throws IOException {
    Path file = Files.createFile(directory.resolve("kvm-not"));
    refused("ENOTTY", () -> Kvm.open(file.toString()));
  }

  @ParameterizedTest
  @CsvSource({
    "open, 13, EACCES, member of the group",
    "open, 19, ENODEV, no virtualization",
    "KVM_CAP_DIRTY_LOG_RING, 7, E2BIG, the ring is too large",
    "KVM_SET_USER_MEMORY_REGION, 17, EEXIST, overlap",
    "KVM_CREATE_VM, 24, EMFILE, too many files",
    "KVM_RUN, 14, EFAULT, not mapped here any more",
    "KVM_CREATE_VM, 1234, errno 1234, no known cause"
  })
  void exception_message_namesCallErrnoAndCause(String call, int errno, String name, String cause) {
    KvmException e = new KvmException(call, errno);
    assertTrue(
        e.toString().contains(": " + call + ": " + name + " (" + errno + "): "), e::toString);
    assertTrue(e.toString().contains(cause), e::toString);
  }

  @Test
  void createVcpu_idTaken_leavesNothing() {
    try (KvmGuest guest = new KvmGuest(64, KvmFactsTest.PLAIN)) {
      refused("EEXIST", () -> guest.vm.createVcpu(0));
      refused("EINVAL", () -> guest.vm.createVcpu(-1));
    }
  }

  @Test
  void adoptVcpu_cannotBeMapped_leavesNothing() {
    try (KvmGuest guest = new KvmGuest(64, KvmFactsTest.PLAIN)) {
      refused("ENODEV", () -> guest.vm.adoptVcpu(guest.vm.fd())); // a VM is no vCPU
      assertThrows(IllegalArgumentException.class, () -> guest.vm.adoptVcpu(-1));
    }
  }

  @ParameterizedTest
  @CsvSource({"0, 256", "256, 512", "256, 4096", "1024, 65536"})
  void adoptVcpu_noRingOrASmallerOne_isRefusedAndLeavesNothing(int has, int said)
      throws IOException {
    try (KvmGuest guest =
            new KvmGuest(
                64,
                vm -> {
                  if (has > 0) {
                    vm.enableDirtyRing(has);
                  }
                });
        KvmVm adopted = guest.kvm.adoptVm(guest.vm.fd(), said)) {
      List<String> now = open();
      refused("EFAULT", () -> adopted.adoptVcpu(guest.vcpu.fd()));
      assertEquals(now, open());
    }
  }

  @ParameterizedTest
  @CsvSource({"512, 256", "65536, 32768"})
  void adoptVcpu_largerRing_isRefusedAndLeavesNothing(int has, int said) throws IOException {
    try (KvmGuest guest = new KvmGuest(64, KvmGuest.ring(has));
        KvmVm adopted = guest.kvm.adoptVm(guest.vm.fd(), said)) {
      List<String> now = open();
      assertThrows(IllegalArgumentException.class, () -> adopted.adoptVcpu(guest.vcpu.fd()));
      assertEquals(now, open());
    }
  }

  @Test
  void adoptVcpu_anotherFile_isRefusedAndLeavesNothing(@TempDir Path directory) throws IOException {
    Path file = Files.createFile(directory.resolve("kvm-not"));
    try (KvmGuest guest = new KvmGuest(64, KvmFactsTest.PLAIN);
        Descriptor other = Descriptor.open(file.toString())) {
      List<String> now = open();
      refused("EFAULT", () -> guest.vm.adoptVcpu(other.fd()));
      assertEquals(now, open());
    }
  }

  @Test
  void adopt_fdsOfAnother_worksAndLeavesThemOpen() {
    try (KvmGuest guest = new KvmGuest(64, KvmGuest.ring(256)).log()) {
      try (KvmVm vm = guest.kvm.adoptVm(guest.vm.fd(), 256)) {
        vm.adoptSlot(KvmGuest.SLOT, guest.ram);
        KvmVcpu vcpu = vm.adoptVcpu(guest.vcpu.fd());
        guest.order(1, 3);
        assertEquals(RunLayout.EXIT_IO, vcpu.run());
        assertEquals(PageWriter.DONE_PORT, vcpu.ioPort());
        assertEquals(1, vcpu.ring().harvester().harvest(vcpu.ring().newHarvest()));
        assertEquals(1, vm.resetDirtyRings());
      }
      guest.write(2, 4);
      assertEquals(2, guest.valueOf(4));
    }
  }

  @Test
  void adopt_vmWithBitmaps_fetches() {
    try (KvmGuest guest = new KvmGuest(64, KvmFactsTest.MANUAL).log();
        KvmVm vm = guest.kvm.adoptVm(guest.vm.fd(), 0)) {
      guest.write(1, 3);
      assertThrows(
          IllegalArgumentException.class, () -> vm.getDirtyLog(KvmGuest.SLOT, guest.bitmap));
      vm.adoptSlot(KvmGuest.SLOT, guest.ram);
      vm.getDirtyLog(KvmGuest.SLOT, guest.bitmap);
      assertEquals(8, guest.bitmap.get(ValueLayout.JAVA_LONG, 0));
    }
  }

  @Test
  void run_ramGone_isAnError() {
    try (KvmGuest guest = new KvmGuest(64, KvmFactsTest.PLAIN)) {
      // An address that nothing of this process has.
      guest
          .vm
          .slots()
          .setRegion(2, 0, KvmGuest.ADDRESS, 1 << 20, 0x1000_0000_0000L, MemorySegment.NULL);
      guest.order(1, 0);
      refused("EFAULT", guest.vcpu::run);
    }
  }

  /** Each would run the vCPU as its own, and a kick reaches one of the two. */
  @Test
  void addVcpu_ofOneThatHasARunner_isRefusedWhoeverAsks() {
    try (KvmMachine machine = KvmMachine.withRing(UnaryOperator.identity())) {
      IllegalStateException e =
          assertThrows(
              IllegalStateException.class, () -> machine.backend.addVcpu(machine.first.vcpu));
      assertTrue(String.valueOf(e.getMessage()).contains("has a runner already"), e.getMessage());
      KvmVcpu vcpu = machine.vm.createVcpu(7);
      List<KvmRunner> made =
          IntStream.range(0, 16)
              .parallel()
              .mapToObj(i -> {
                try {
                  return Stream.of(machine.backend.addVcpu(vcpu));
                } catch (IllegalStateException refused) {
                  return Stream.<KvmRunner>of();
                }
              })
              .flatMap(one -> one)
              .toList();
      assertEquals(1, made.size());
      made.get(0).close();
      machine.backend.addVcpu(vcpu).close();
    }
  }

  /** In a pause it would write on, and a change of slots would find it in the guest. */
  @Test
  void run_ofAVcpuThatHasARunner_isRefusedUntilThatIsClosed() {
    try (KvmMachine machine = KvmMachine.withRing(UnaryOperator.identity())) {
      machine.program.list();
      IllegalStateException e = assertThrows(IllegalStateException.class, machine.vcpu::run);
      assertTrue(String.valueOf(e.getMessage()).contains("has a runner"), e.getMessage());
      assertEquals(RunLayout.EXIT_IO, machine.runner.run());
      machine.runner.close();
      assertEquals(RunLayout.EXIT_IO, machine.vcpu.run());
    }
  }

  @Test
  void addVcpu_ofOneThatRuns_isRefused() throws InterruptedException {
    try (KvmMachine machine = KvmMachine.withRing(UnaryOperator.identity())) {
      machine.runner.close();
      machine.program.list();
      machine.program.mode(false, true);
      Thread thread = Thread.ofPlatform().start(machine.vcpu::run);
      while (machine.program.rounds() == 0) {
        Thread.onSpinWait();
      }
      assertThrows(IllegalStateException.class, () -> machine.backend.addVcpu(machine.first.vcpu));
      machine.vcpu.kick();
      thread.join();
      machine.backend.addVcpu(machine.first.vcpu).close();
    }
  }

  /** Its log would be off, or its bits gone, and nobody is told of what the guest has written. */
  @ParameterizedTest
  @ValueSource(ints = {0, 256})
  void setAndDeleteSlot_ofAMemory_areRefusedAndNoWriteIsLost(int ring) {
    try (KvmMachine machine = new KvmMachine(ring, true, DirtyLog.builder())) {
      GuestSlot slot = machine.memory().addSlot(1, GuestMachine.BASE, 8L * GuestMachine.PAGE);
      try (var client = machine.memory().client("c", InitialView.NONE_DIRTY)) {
        assertThrows(
            IllegalStateException.class,
            () -> machine.vm.setSlot(1, 0, GuestMachine.BASE, slot.ram()));
        machine.write(7, GuestMachine.BASE + 3L * GuestMachine.PAGE);
        assertThrows(IllegalStateException.class, () -> machine.vm.deleteSlot(1));
        assertThrows(IllegalStateException.class, () -> machine.vm.adoptSlot(1, slot.ram()));
        assertEquals(Set.of("1:3"), GuestMachine.take(client));
      }
      machine.memory().removeSlot(1).close();
      machine.vm.setSlot(1, 0, GuestMachine.BASE, machine.ram(1)); // it is the embedder's now
      machine.vm.deleteSlot(1);
    }
  }

  /** Both would empty the same rings, and each keep from the other what it finds there. */
  @Test
  void log_itsOptionsAreUsedAgain_areRefused() {
    DirtyLogBuilder options = DirtyLog.builder();
    try (KvmMachine machine = new KvmMachine(256, true, options)) {
      assertThrows(IllegalStateException.class, options::build);
      try (KvmMachine other = new KvmMachine(256, true, options)) {
        assertNotEquals(machine.backend, other.backend);
      }
    }
  }
}
