package dev.smudge.snapshot;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.snapshot.Console.Content;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.RemovedSlot;
import dev.smudge.sync.SlotChange;
import dev.smudge.sync.pages.PagePort;
import dev.smudge.testbase.Seed;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** Reset against full copies of the guest. */
class ResetTest {
  private static DirtyClient<LogSlot> client(Console console) {
    return console.log.client("reset", InitialView.ALL_DIRTY);
  }

  @Test
  void reset_randomRunsOfManyGuestsOverOneBase_equalTheFullCopy() {
    SplittableRandom random = Seed.random("reset");
    Console first = new Console();
    first.run(random);
    Reset<LogSlot> firstReset = Reset.toNow(client(first), first, first);
    Content base = first.content();
    List<Console> consoles = new ArrayList<>(List.of(first));
    List<Reset<LogSlot>> resets = new ArrayList<>(List.of(firstReset));
    List<Watcher> watchers = new ArrayList<>(List.of(new Watcher(first)));
    for (int i = 0; i < 3; i++) {
      Console other = new Console();
      other.run(random);
      consoles.add(other);
      watchers.add(new Watcher(other));
      resets.add(Reset.over(client(other), other, other, firstReset.base()));
      resets.get(resets.size() - 1).reset();
      assertEquals(base, other.content());
    }
    for (int i = 0; i < Seed.STEPS; i++) {
      int guest = random.nextInt(consoles.size());
      consoles.get(guest).run(random);
      if (random.nextInt(3) == 0) {
        resets.get(guest).reset();
        assertEquals(base, consoles.get(guest).content());
      }
      if (random.nextInt(4) == 0) {
        watchers.get(guest).check();
      }
    }
  }

  @Test
  void reset_afterFaultsAtEveryCall_equalsTheFullCopy_andNothingIsLost() {
    SplittableRandom random = Seed.random("reset faults");
    Console console = new Console();
    console.run(random);
    Reset<LogSlot> reset = Reset.toNow(client(console), console, console);
    Content base = console.content();
    Watcher watcher = new Watcher(console);
    int faults = 0;
    for (int i = 0; i < Seed.STEPS; i++) {
      console.run(random);
      console.untilFault = random.nextInt(30);
      try {
        reset.reset();
      } catch (Console.Fault e) {
        faults++;
        console.untilFault = -1;
        watcher.check();
        if (random.nextBoolean()) {
          console.run(random);
        }
        reset.reset();
      }
      assertEquals(base, console.content());
      watcher.check();
    }
    assertTrue(faults > Seed.STEPS / 20, faults + " faults");
  }

  @Test
  void baseImage_faultAtEveryCall_pagesAreDirtyStill() {
    Console console = new Console();
    console.run(Seed.random("base"));
    DirtyClient<LogSlot> client = client(console);
    long all = client.dirtyPages();
    for (int fault = 0; ; fault++) {
      console.untilFault = fault;
      try {
        Reset<LogSlot> reset = Reset.toNow(client, console, console);
        console.untilFault = -1;
        assertTrue(fault > all, fault + " calls for " + all + " pages");
        assertEquals(0, client.dirtyPages());
        assertEquals(0, reset.reset());
        return;
      } catch (Console.Fault e) {
        assertEquals(all, client.dirtyPages());
      }
    }
  }

  @Test
  void reset_whatWasWritten_isWrittenAlone() {
    Console console = new Console();
    console.poke(0, 5000, (byte) 3);
    Reset<LogSlot> reset = Reset.toNow(client(console), console, console);
    assertEquals(1, reset.base().pages());
    assertEquals(0, reset.reset());
    console.fill(0, 4990, 300, (byte) 9);
    assertEquals(2, reset.reset());
    assertEquals(3, console.ram[0][5000]);
    assertEquals(0, console.ram[0][5001]);
    assertEquals(0, reset.reset());
  }

  @Test
  void reset_slotsAreNotThoseOfTheImage_refused() {
    Console console = new Console();
    BaseImage base = BaseImage.of(client(console), console, console);
    Console other = new Console();
    SlotChange change = other.log.change();
    change.remove(other.slots[1]);
    change.commit().forEach(RemovedSlot::close);
    other.slots[1] = other.log.addSlot(1, 16, Console.PAGE);
    other.ram[1] = new byte[16 * Console.PAGE];
    other.fill(1, 0, 10, (byte) 1);
    Reset<LogSlot> reset = Reset.over(client(other), other, other, base);
    Content before = other.content();
    assertThrows(IllegalArgumentException.class, reset::reset);
    assertEquals(before, other.content());
    reset.close();
    assertThrows(IllegalStateException.class, reset::reset);
    assertNotEquals("", reset.toString());
  }

  /** Each would take pages that the other never sees. */
  @Test
  @SuppressWarnings("NullAway")
  void over_clientOfAnother_isRefusedByAll() {
    Console console = new Console();
    DirtyClient<LogSlot> client = console.log.client("shared", InitialView.ALL_DIRTY);
    BaseImage image = BaseImage.of(client, console, console);
    // What could not be made does not have the client.
    assertThrows(NullPointerException.class, () -> Reset.over(client, console, null, image));
    assertThrows(NullPointerException.class, () -> Rewind.over(client, console, null, 1 << 20));
    Reset<LogSlot> reset = Reset.over(client, console, console, image);
    assertThrows(IllegalStateException.class, () -> Reset.over(client, console, console, image));
    assertThrows(IllegalStateException.class, () -> Rewind.over(client, console, 1 << 20));
    assertThrows(IllegalStateException.class, () -> BaseImage.of(client, console, console));
    assertThrows(
        IllegalStateException.class,
        () ->
            SnapshotStore.over(
                new MemoryDisk(), Path.of("memory"), () -> {}, client, console, console));
    console.poke(0, 5, (byte) 1);
    assertEquals(1, reset.reset());
    assertEquals(0, console.ram[0][5]);
  }

  /** It lacks the pages that are in the image. */
  @Test
  void over_clientThatHasTakenAnotherImage_isRefusedByAll() {
    Console console = new Console();
    console.fill(0, 0, 5000, (byte) 5);
    DirtyClient<LogSlot> client = console.log.client("taken", InitialView.ALL_DIRTY);
    console.untilFault = 9;
    assertThrows(Console.Fault.class, () -> BaseImage.of(client, console, console));
    console.untilFault = -1;
    BaseImage image = BaseImage.of(client, console, console); // as the first has failed
    BaseImage other = BaseImage.of(client(console), console, console);
    assertThrows(IllegalStateException.class, () -> Reset.toNow(client, console, console));
    assertThrows(IllegalStateException.class, () -> Rewind.over(client, console, 1 << 20));
    Exception e =
        assertThrows(
            IllegalStateException.class, () -> Reset.over(client, console, console, other));
    assertTrue(e.toString().contains("has taken a BaseImage"), e::toString);
    Content before = console.content();
    Reset<LogSlot> reset = Reset.over(client, console, console, image);
    console.fill(0, 200, 300, (byte) 6);
    reset.reset();
    assertEquals(before, console.content());
  }

  /** Pages that are written would be marked as others, and lost for other clients. */
  @Test
  void reset_portWithPagesOfAnotherSizeThanTheSlot_refusedAndNothingIsWritten() {
    Console console = new Console();
    DirtyClient<LogSlot> client = client(console);
    BaseImage image = BaseImage.of(client, console, console);
    console.poke(0, 5, (byte) 1);
    PagePort.OwnRam port =
        new Console.Port(console) {
          @Override
          public long pageSize(LogSlot slot) {
            return slot.pageSize() / 2;
          }

          @Override
          public int pageBytes(LogSlot slot) {
            return console.pageBytes(slot);
          }
        };
    Reset<LogSlot> reset = Reset.over(client, port, console, image);
    String message =
        String.valueOf(assertThrows(IllegalArgumentException.class, reset::reset).getMessage());
    assertTrue(message.contains("161 pages of 128 units"), message);
    assertEquals(1, console.ram[0][5]);
    reset.close();
    Reset<LogSlot> right = Reset.over(client(console), console, console, image);
    right.reset();
    assertEquals(0, console.ram[0][5]);
  }
}
