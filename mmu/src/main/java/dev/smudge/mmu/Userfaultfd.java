package dev.smudge.mmu;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.smudge.linux.Descriptor;
import dev.smudge.linux.Errno;
import dev.smudge.linux.ErrnoException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * A userfaultfd in asynchronous write-protect mode. The kernel resolves the faults by itself; what
 * it is for is that pages of registered ranges can be protected. A range may be registered for
 * several slots, an old one and those that replace it: it is until the last has gone. One thread at
 * a time.
 */
final class Userfaultfd implements AutoCloseable {
  private static final String DEVICE = "/dev/userfaultfd";

  private final Descriptor descriptor;
  private final MemorySegment request =
      Arena.ofAuto().allocate(UserfaultLayouts.REGISTER_SIZE, Long.BYTES);

  /** By address: how many slots a range is registered for, up to the next one's address. */
  private final TreeMap<Long, Integer> counts = new TreeMap<>();

  private Userfaultfd(Descriptor descriptor) {
    this.descriptor = descriptor;
  }

  /**
   * Makes one.
   *
   * @throws ErrnoException if it cannot be made: the call says which step
   */
  static Userfaultfd open() {
    Descriptor made = make();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment api = arena.allocate(UserfaultLayouts.API_SIZE, 8);
      api.set(JAVA_LONG, 0, UserfaultLayouts.API);
      api.set(JAVA_LONG, 8, UserfaultLayouts.FEATURE_WP_ASYNC);
      made.ioctl("UFFDIO_API", UserfaultLayouts.UFFDIO_API, api, MemorySegment.NULL);
      return new Userfaultfd(made);
    } catch (RuntimeException | Error e) {
      made.close();
      throw e;
    }
  }

  private static Descriptor make() {
    int flags =
        UserfaultLayouts.O_CLOEXEC | UserfaultLayouts.O_NONBLOCK | UserfaultLayouts.USER_MODE_ONLY;
    try {
      return Descriptor.ofSystemCall("userfaultfd", UserfaultLayouts.SYSCALL, flags);
    } catch (ErrnoException e) {
      try (Descriptor device = Descriptor.open(DEVICE)) {
        int fd = device.ioctl("USERFAULTFD_IOC_NEW", UserfaultLayouts.USERFAULTFD_IOC_NEW, flags);
        return Descriptor.owned(fd, "userfaultfd");
      } catch (ErrnoException second) {
        e.addSuppressed(second);
        throw e;
      }
    }
  }

  /**
   * Registers a range for one slot more. Its pages can be protected then; none is that was not
   * registered before.
   *
   * @return whether some of it was: for a slot that this one replaces
   */
  boolean register(long from, long end) {
    split(from); // first: a border more does no harm
    split(end);
    boolean before = counts.subMap(from, end).values().stream().anyMatch(count -> count > 0);
    call("UFFDIO_REGISTER", UserfaultLayouts.UFFDIO_REGISTER, from, end);
    add(from, end, 1);
    return before;
  }

  /**
   * It is registered for one slot less.
   *
   * @param gone whether the memory is gone, and what is there now is another's
   */
  void unregister(long from, long end, boolean gone) {
    split(from);
    split(end);
    add(from, end, -1);
    for (long[] range : gone ? List.<long[]>of() : withoutSlots(from, end)) {
      try {
        call("UFFDIO_UNREGISTER", UserfaultLayouts.UFFDIO_UNREGISTER, range[0], range[1]);
      } catch (MmuException e) {
        if (e.errno() != Errno.EINVAL && e.errno() != Errno.ENOMEM) {
          throw e;
        } // unmapped by its owner: nothing is registered there any more
      }
    }
    forget(from, end);
  }

  private void add(long from, long end, int change) {
    for (Map.Entry<Long, Integer> each : counts.subMap(from, end).entrySet()) {
      each.setValue(each.getValue() + change);
    }
  }

  private void split(long at) {
    Map.Entry<Long, Integer> before = counts.floorEntry(at);
    counts.putIfAbsent(at, before == null ? 0 : before.getValue());
  }

  private List<long[]> withoutSlots(long from, long end) {
    List<long[]> ranges = new ArrayList<>();
    for (Map.Entry<Long, Integer> each : counts.subMap(from, end).entrySet()) {
      if (each.getValue() <= 0) {
        ranges.add(new long[] {each.getKey(), counts.higherKey(each.getKey())});
      }
    }
    return ranges;
  }

  /** Borders between ranges that have the same count. */
  private void forget(long from, long end) {
    for (Long at : List.copyOf(counts.subMap(from, true, end, true).keySet())) {
      Map.Entry<Long, Integer> before = counts.lowerEntry(at);
      Integer count = counts.get(at);
      if (count != null && count.equals(before == null ? Integer.valueOf(0) : before.getValue())) {
        counts.remove(at);
      }
    }
  }

  private void call(String call, long number, long from, long end) {
    request.set(JAVA_LONG, 0, from);
    request.set(JAVA_LONG, 8, end - from);
    request.set(JAVA_LONG, 16, UserfaultLayouts.MODE_WP);
    try {
      descriptor.ioctl(call, number, request, MemorySegment.NULL);
    } catch (ErrnoException e) {
      throw new MmuException(
          e, " of 0x" + Long.toHexString(from) + " to 0x" + Long.toHexString(end));
    }
  }

  /** Nothing is registered any more, and no page protected. */
  @Override
  public void close() {
    descriptor.close();
  }
}
