package dev.smudge.snapshot;

import dev.smudge.snapshot.owner.ClientOwner;
import dev.smudge.sync.DirtyBatch;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.pages.PagePort;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The state of a guest at one moment, to which a {@link Reset} goes back. It holds one read-only
 * copy of each page that is not zero, however many guests are reset to it. Slots are matched by
 * their numbers, so the guests may be in different logs.
 *
 * <p>Threads: immutable; any number of threads may use it at once.
 */
public final class BaseImage {
  /** Pages of a slot. */
  private record Slot(PageTable table, long pageCount, int pageBytes) {}

  private final Map<Integer, Slot> slots;
  private final byte[] machine;
  private final long pages;

  /** Stands for it, and does not keep its pages, where it is noted whose client took it. */
  final ClientOwner taken;

  private BaseImage(Map<Integer, Slot> slots, byte[] machine, long pages, ClientOwner taken) {
    this.slots = slots;
    this.machine = machine;
    this.pages = pages;
    this.taken = taken;
  }

  /**
   * Takes an image of a guest, which must stand still meanwhile. The client has no dirty pages
   * afterwards, and can be given to a {@link Reset} of the same guest to this image, and to nothing
   * else: all others would lack the pages that are in the image.
   *
   * @param client a new client of the guest. It sees every page as dirty ({@code ALL_DIRTY}); or
   *     none, if all RAM was zero when it was made
   * @param ram reads the guest's pages
   * @param machine the rest of the guest's state
   * @param <S> what the client calls a slot
   * @return the image
   * @throws IllegalStateException if the client is closed, has an open batch, has taken an image
   *     before, or is that of a {@link SnapshotStore}, a {@link Rewind} or a {@link Reset}. After
   *     this, and after any exception of the port or the machine, the pages are still dirty for the
   *     client
   */
  public static <S> BaseImage of(DirtyClient<S> client, PagePort<S> ram, MachineState machine) {
    ClientOwner taken =
        new ClientOwner(
            " has taken a BaseImage, whose pages are missing for all but a Reset to that image:"
                + " make another client");
    taken.claim(client, null);
    boolean done = false;
    try {
      BaseImage image = take(client, ram, machine, taken);
      done = true;
      return image;
    } finally {
      if (!done) {
        taken.release(client);
      }
    }
  }

  private static <S> BaseImage take(
      DirtyClient<S> client, PagePort<S> ram, MachineState machine, ClientOwner taken) {
    Map<Integer, Slot> slots = new HashMap<>();
    long[] pages = {0};
    byte[] state = Objects.requireNonNull(machine.save(), "state of the machine").clone();
    try (DirtyBatch<S> batch = client.take()) {
      batch.forEachRun((slot, first, count) -> {
        int bytes = GuestPages.checkedPageBytes(ram, slot);
        int id = ram.slotId(slot);
        Slot of = slots.get(id);
        if (of == null) { // no lambda over an int (docs/design.md 3.8)
          of = new Slot(new PageTable(), ram.pageCount(slot), bytes);
          slots.put(id, of);
        }
        pages[0] += copy(ram, slot, of, first, count);
      });
      BaseImage image = new BaseImage(slots, state, pages[0], taken);
      batch.commit();
      return image;
    }
  }

  private static <S> long copy(PagePort<S> ram, S slot, Slot of, long first, long count) {
    long kept = 0;
    byte[] content = null;
    for (long page = first; page < first + count; page++) {
      byte[] into = content == null ? new byte[of.pageBytes()] : content;
      ram.read(slot, page, into);
      content = into;
      if (!isZero(into)) {
        of.table().block(page)[PageTable.index(page)] = into;
        content = null;
        kept++;
      }
    }
    return kept;
  }

  private static boolean isZero(byte[] page) {
    for (byte each : page) {
      if (each != 0) {
        return false;
      }
    }
    return true;
  }

  /** {@return how many pages it holds: those that are not zero} */
  public long pages() {
    return pages;
  }

  byte[] machine() {
    return machine;
  }

  /** {@return the pages of a guest's slot; none of one that the image does not know} */
  PageTable table(int slotId, long pageCount, int pageBytes) {
    @Nullable Slot slot = slots.get(slotId);
    if (slot == null) {
      return new PageTable();
    }
    if (slot.pageCount() != pageCount || slot.pageBytes() != pageBytes) {
      throw new IllegalArgumentException(
          "slot "
              + slotId
              + " has "
              + pageCount
              + " pages of "
              + pageBytes
              + " bytes, and in the base image "
              + slot.pageCount()
              + " of "
              + slot.pageBytes());
    }
    return slot.table();
  }

  @Override
  public String toString() {
    return "BaseImage[slots " + slots.keySet() + ", " + pages + " pages]";
  }
}
