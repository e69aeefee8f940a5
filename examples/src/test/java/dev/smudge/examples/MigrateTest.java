package dev.smudge.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The command: what it prints, and its exit status. */
@Timeout(300)
class MigrateTest {
  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteArrayOutputStream err = new ByteArrayOutputStream();

  private int run(String... options) {
    try (PrintStream toOut = new PrintStream(out, true, StandardCharsets.UTF_8);
        PrintStream toErr = new PrintStream(err, true, StandardCharsets.UTF_8)) {
      return Migrate.run(toOut, toErr, options);
    }
  }

  private String out() {
    return out.toString(StandardCharsets.UTF_8);
  }

  private String err() {
    return err.toString(StandardCharsets.UTF_8);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--vcpus 0           | 1 to 64",
        "--vcpus 65          | 1 to 64",
        "--vcpus many        | 1 to 64",
        "--vcpus             | 1..64",
        "--ram 3             | 1M to 4T",
        "--ram 1000001       | multiple of 4K",
        "--ram 5T            | 1M to 4T",
        "--ram 99999999999T  | 1M to 4T",
        "--ram -1M           | 1M to 4T",
        "--touched 1G        | at most --ram",
        "--pattern blue      | random or sequential or hot",
        "--rate -1           | 0 to 1000000000",
        "--calls 0           | 1 to 10000000",
        "--tlb 3             | power of two",
        "--guest vax         | quickjs or native",
        "--guest quickjs --tlb 4 | is for --guest native",
        "--to nowhere        | HOST:PORT",
        "--to localhost:0    | 1 to 65535",
        "--backend vax       | software or mmu or kvm",
        "--backend mmu --break-barrier     | no barrier to leave out",
        "--break-report      | is for --backend mmu",
        "--backend kvm --break-report      | is for --backend mmu",
        "--listen 0 --break-report         | --break-report",
        "--backend mmu --ring 64           | nobody reports pages",
        "--backend kvm --guest native | leave --guest out",
        "--backend kvm --tlb 4        | --tlb is for --guest native",
        "--backend kvm --vcpus 9      | at most 8",
        "--backend kvm --ram 4G       | at most 2147483648",
        "--backend kvm --ring 128     | power of two from 256",
        "--backend kvm --call-writes 20000 | at most 14336",
        "--backend kvm --break-barrier     | no barrier to leave out",
        "--listen 0 --backend kvm | --backend",
        "--listen 0 --compress    | --compress",
        "--listen 0 --dirty-rate 1M  | --dirty-rate",
        "--listen 0 --throttle 1M    | --throttle",
        "--throttle 100      | 4K to 1T",
        "--backend mmu --throttle 1M       | --throttle is for --backend software",
        "--backend kvm --throttle 1M       | --throttle is for --backend software",
        "--streams 65        | 1 to 64",
        "--dirty-rate 0      | 1M to 1T",
        "--listen 70000      | 0 to 65535",
        "--listen 0 --vcpus 2        | --vcpus",
        "--listen 0 --guest native   | --guest",
        "--listen 0 --break-barrier  | --break-barrier",
        "--listen 0 --to localhost:1 | exclude",
        "--timeout 1         | 100 to 600000",
        "--progress loud     | bar or lines or none",
        "--vcpus 1 --vcpus 2 | only once",
        "--unknown           | --unknown",
        "stray               | stray",
      })
  void run_badOption_oneLineThatSaysWhatIsAllowed(String options, String expected) {
    assertEquals(MigrationRun.USAGE, run(options.split(" ", -1)));
    assertEquals("", out());
    assertEquals(1, err().lines().count(), err());
    assertTrue(err().contains(expected), err());
  }

  @Test
  void run_help_teaches() {
    assertEquals(0, run("--help"));
    assertTrue(
        out().contains("Its dirty pages are sent in rounds") && out().contains("Examples"), out());
    assertEquals("", err());
  }

  @Test
  void run_nativeGuest_verified() {
    int status = run("--ram", "8M", "--warm-up", "100", "--calls", "3000");
    assertEquals(MigrationRun.VERIFIED, status, out() + err());
    assertTrue(out().lines().toList().getLast().matches("verified +yes"), out());
    assertFalse(out().chars().anyMatch(c -> c < ' ' && c != '\n'), "control characters");
    assertEquals("", err());
  }

  @Test
  void run_oneTebibyte_verified() {
    int status =
        run(
            "--ram",
            "1T",
            "--touched",
            "2M",
            "--vcpus",
            "4",
            "--warm-up",
            "100",
            "--calls",
            "3000");
    assertEquals(MigrationRun.VERIFIED, status, out() + err());
  }

  @Test
  void run_everyLineAsked_printedByWhoRan() {
    int status =
        run("--ram", "1M", "--vcpus", "1", "--warm-up", "50", "--calls", "2000", "--output");
    assertEquals(MigrationRun.VERIFIED, status, out() + err());
    assertEquals(
        2001,
        out().lines().filter(l -> l.startsWith("source") || l.startsWith("destination")).count());
    assertTrue(out().lines().anyMatch(l -> l.startsWith("destination")), out());
  }

  /** Without the barrier a write is lost in a race, which not every run meets. */
  @Test
  void run_barrierLeftOut_lossFoundAndShown() {
    int status = MigrationRun.VERIFIED;
    for (int runs = 0; status == MigrationRun.VERIFIED && runs < 10; runs++) {
      status = run("--break-barrier", "--calls", "40");
    }
    assertEquals(MigrationRun.NOT_VERIFIED, status, out() + err());
    assertTrue(out().lines().toList().getLast().matches("verified +NO"), out());
    assertTrue(out().contains("writes were lost at 0x"), out());
    assertTrue(err().contains(" pages differ") && !err().contains("0x"), err());
  }

  @Test
  void run_dirtyRate_saysWhatToExpect() {
    int status = run("--dirty-rate", "1M", "--ram", "8M", "--warm-up", "1000", "--calls", "5000");
    assertEquals(MigrationRun.VERIFIED, status, out() + err());
    List<String> lines = out().lines().toList();
    assertTrue(lines.stream().anyMatch(l -> l.matches("dirty rate +[0-9,]+ KiB to send.*")), out());
    assertTrue(
        lines.stream().anyMatch(l -> l.matches("estimate +at 1,024 KiB/s it does not conv.*")),
        out());
  }

  /** It writes all over its RAM, so no round is smaller than the one before. */
  @Test
  void run_throttle_guestThatDoesNotConvergeMoves() {
    List<String> options = new ArrayList<>(List.of("--ram", "16M", "--touched", "16M"));
    options.addAll(List.of("--rate", "500000", "--tlb", "0", "--pattern", "random"));
    options.addAll(List.of("--warm-up", "1000", "--calls", "4000", "--call-writes", "1000"));
    options.addAll(List.of("--max-rounds", "60", "--max-downtime", "0", "--threshold", "256"));
    options.addAll(List.of("--vcpus", "2", "--throttle", "1M"));
    int status = run(options.toArray(String[]::new));
    assertEquals(MigrationRun.VERIFIED, status, out() + err());
    assertTrue(
        out().lines().anyMatch(l -> l.matches("throttled +to [0-9,]+ KiB of dirty pages.*")),
        out());
  }

  /** The bar grows with the rounds, and is the only one. */
  @Test
  void run_bar_isOneAndFullAtTheEnd() {
    int status = run("--progress", "bar", "--ram", "8M", "--warm-up", "1000", "--calls", "3000");
    assertEquals(MigrationRun.VERIFIED, status, out() + err());
    List<String> bars =
        Arrays.stream(out().split("\n")).filter(line -> line.contains("% [")).toList();
    assertEquals(1, bars.size(), out());
    assertTrue(bars.getFirst().lines().toList().getLast().contains("100% ["), out());
  }

  @Test
  void run_nobodyListens_guestIsNotBooted() throws Exception {
    try (Socket bound = new Socket()) { // nobody else gets its port, and it does not listen
      bound.bind(new InetSocketAddress("localhost", 0));
      String to = "localhost:" + bound.getLocalPort();
      assertEquals(MigrationRun.FAILED, run("--to", to, "--guest", "native"));
    }
    assertEquals(1, err().lines().count(), err());
    assertTrue(err().contains("cannot connect"), err());
    assertTrue(out().matches("verified +not moved\\R"), out());
  }

  @Test
  void run_destinationGoesAway_guestRunsOnAtTheSource() throws Exception {
    try (ServerSocket server = new ServerSocket(0)) {
      Thread there =
          Thread.ofPlatform()
              .start(() -> {
                try {
                  server.accept().close();
                } catch (IOException e) {
                  throw new AssertionError(e);
                }
              });
      String to = "localhost:" + server.getLocalPort();
      int status = run("--to", to, "--guest", "native", "--warm-up", "10", "--calls", "100");
      there.join();
      assertEquals(MigrationRun.FAILED, status, out());
    }
    assertEquals(1, err().lines().count(), err());
    assertTrue(err().contains("the guest stayed at the source"), err());
    assertTrue(out().contains("the same as in an uninterrupted run"), out());
    assertTrue(out().lines().toList().getLast().matches("verified +not moved"), out());
  }
}
