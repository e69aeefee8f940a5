package dev.smudge.core;

import dev.smudge.core.internal.map.AddressSpace;
import dev.smudge.core.internal.map.MappedSlot;
import dev.smudge.core.internal.map.SlotCommit;
import dev.smudge.core.internal.map.SlotMap;
import dev.smudge.core.internal.map.SlotOverlay;
import dev.smudge.core.internal.map.SlotPlan;
import dev.smudge.core.internal.ram.RamRange;
import dev.smudge.sync.RemovedSlot;
import dev.smudge.sync.embed.EmbeddedLog;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.NoSuchElementException;

/**
 * A change of the slots of a {@link GuestMemory}. It has any number of steps, which {@link #commit}
 * makes all at once or not at all. vCPUs and devices go on meanwhile, and never find a hole at an
 * address that is in a slot before and after.
 *
 * <p><b>No dirty bit is lost.</b> A page whose memory is in a slot before and after is carried
 * over: it stays dirty, or clean, for each client. A page that is new to the guest is dirty for
 * all. The dirty bits of all other pages go to the remover, with the RAM ({@link RemovedSlot}).
 * Pages of another size than before are not carried.
 *
 * <p><b>Steps</b> name slots by number: existing slots, and slots that earlier steps have made.
 * Each step is checked when it is called, and the commit checks all steps again, against the slots
 * that exist then. A refused step changes nothing. No lock is held between steps. If another thread
 * has changed one of the transaction's slots meanwhile, the commit fails.
 *
 * <p><b>Nesting.</b> If a thread begins a transaction while it has one open, the new one joins the
 * open one: the commit of the inner transaction changes nothing yet, and its close without a commit
 * takes back only its own steps. Close the transactions of a thread in reverse order.
 *
 * <p>For the thread that began it. Source: docs/design.md 3.6; QEMU {@code
 * memory_region_transaction_begin} and its {@code _commit}.
 */
@SuppressWarnings("ReferenceEquality") // transactions and threads are compared by identity
public final class SlotTransaction implements AutoCloseable {
  /** No lambda: it would be over numbers, and of no use after an error (docs/design.md 3.8). */
  private interface Step {
    void run(SlotMap base);
  }

  private final AddressSpace space;
  private final SlotOverlay overlay;
  private final SlotTransaction outer;
  private final Thread owner = Thread.currentThread();
  private final int savepoint;
  private boolean done;
  private List<RemovedSlot<GuestSlot>> removed = List.of();
  private List<MappedSlot> added = List.of();

  @SuppressWarnings("this-escape") // to the thread's own overlay
  SlotTransaction(AddressSpace space) {
    space.checkOpen();
    EmbeddedLog.checkStack(); // whoever can begin one here can close it here
    this.space = space;
    this.overlay = space.beginTransaction();
    SlotTransaction open = (SlotTransaction) overlay.innermost;
    this.outer = open == null ? this : open;
    this.savepoint = overlay.savepoint();
    overlay.innermost = this;
  }

  private void checkUsable() {
    if (owner != Thread.currentThread()) {
      throw new IllegalStateException(
          "this transaction belongs to " + owner + ", not to " + Thread.currentThread());
    }
    if (done) {
      throw new IllegalStateException("this transaction was committed or closed already");
    }
    if (outer.done) {
      throw new IllegalStateException(
          "the transaction that this one was begun inside is over; begin another");
    }
    if (overlay.innermost != this) {
      throw new IllegalStateException("a transaction inside this one is open: close it first");
    }
  }

  /** After an {@link Error} in a step nobody knows what is left of it. */
  private void checkWhole() {
    if (overlay.halfStep) {
      throw new IllegalStateException(
          "a step of this transaction was cut short by an error: close it and begin again");
    }
  }

  private SlotTransaction step(Step step) {
    checkUsable();
    checkWhole();
    space.checkOpen();
    int before = overlay.savepoint();
    overlay.halfStep = true;
    try {
      step.run(space.map());
    } catch (RuntimeException e) {
      overlay.rollBack(before);
      overlay.halfStep = false;
      throw e;
    }
    overlay.halfStep = false;
    return this;
  }

  /**
   * Adds a slot over Smudge's own RAM, zeroed.
   *
   * @param slotId 0 to 32,763, not in use
   * @param guestAddress address of its first byte, a multiple of the page size
   * @param size bytes, a multiple of the page size, more than 0
   * @param pageSize bytes, a power of two from 256 to 2^30
   * @return this
   * @throws IllegalArgumentException if a value is outside that, or the slot would overlap another
   *     or wrap round; nothing is changed
   * @throws IllegalStateException if the transaction is over, or the memory closed
   */
  public SlotTransaction add(int slotId, long guestAddress, long size, long pageSize) {
    return step(
        new Step() {
          @Override
          public void run(SlotMap base) {
            overlay.put(SlotPlan.ofOwn(slotId, guestAddress, size, pageSize, space.newRam()), base);
          }
        });
  }

  /**
   * Adds a slot over the embedder's own RAM; see {@link GuestMemory#addSlot(int, long,
   * MemorySegment, long)}.
   *
   * @param slotId 0 to 32,763, not in use
   * @param guestAddress address of its first byte, a multiple of the page size
   * @param ram the RAM, writable and alive; its size is the slot's
   * @param pageSize bytes, a power of two from 256 to 2^30
   * @return this
   * @throws IllegalArgumentException as {@link #add(int, long, long, long)}
   * @throws IllegalStateException if the transaction is over, or the memory closed
   */
  public SlotTransaction add(int slotId, long guestAddress, MemorySegment ram, long pageSize) {
    return step(
        new Step() {
          @Override
          public void run(SlotMap base) {
            overlay.put(SlotPlan.ofSegment(slotId, guestAddress, ram, pageSize), base);
          }
        });
  }

  /**
   * Removes a slot.
   *
   * @param slotId its number
   * @return this
   * @throws IllegalArgumentException if there is no such slot; nothing is changed
   * @throws IllegalStateException if the transaction is over, or the memory closed
   */
  public SlotTransaction remove(int slotId) {
    return step(
        new Step() {
          @Override
          public void run(SlotMap base) {
            overlay.remove(slotId, base);
          }
        });
  }

  /**
   * Moves a slot to another address.
   *
   * @param slotId its number
   * @param guestAddress where its first byte is to be, a multiple of the page size
   * @return this
   * @throws IllegalArgumentException if there is no such slot, or the address is wrong as in {@link
   *     #add(int, long, long, long)}; nothing is changed
   * @throws IllegalStateException if the transaction is over, or the memory closed
   */
  public SlotTransaction move(int slotId, long guestAddress) {
    return step(
        new Step() {
          @Override
          public void run(SlotMap base) {
            replace(overlay.get(slotId, base).movedTo(guestAddress), base);
          }
        });
  }

  private void replace(SlotPlan plan, SlotMap base) {
    overlay.remove(plan.id(), base);
    overlay.put(plan, base);
  }

  /**
   * Makes a slot longer or shorter, at its end. The pages that it gains are zero. Smudge's own RAM
   * grows in place. With native access it can grow to four times its first size, or to 1 GiB if
   * that is more, and not at all if its first size is more than 4 TiB; beyond that the commit
   * fails. A slot over the embedder's own RAM grows by {@link #replaceRam}, with a segment that
   * contains the old one.
   *
   * @param slotId its number
   * @param size its new size, a multiple of the page size, more than 0
   * @return this
   * @throws IllegalArgumentException if there is no such slot, the size is wrong as in {@link
   *     #add(int, long, long, long)}, or the RAM behind the slot is the embedder's or in use;
   *     nothing is changed
   * @throws IllegalStateException if the transaction is over, or the memory closed
   */
  public SlotTransaction resize(int slotId, long size) {
    return step(
        new Step() {
          @Override
          public void run(SlotMap base) {
            SlotPlan old = overlay.get(slotId, base);
            boolean grows = size > old.size();
            if (grows && old.own() == null) {
              throw new IllegalArgumentException(
                  old
                      + " cannot grow to "
                      + size
                      + ": its RAM is the embedder's, of "
                      + old.size()
                      + " bytes; replaceRam with more of it");
            }
            SlotPlan plan =
                old.part(
                    slotId,
                    old.guestAddress(),
                    size,
                    old.offset(),
                    RamRange.both(
                        old.fresh(), List.of(new RamRange(old.ramEnd(), old.offset() + size))));
            replace(plan, base);
            if (grows) {
              overlay.checkFresh(plan);
            }
          }
        });
  }

  /**
   * Splits a slot in two: the first part keeps the number.
   *
   * @param slotId its number
   * @param byteOffset where the second part begins: a multiple of the page size, inside the slot
   * @param newSlotId number of the second part, 0 to 32,763, not in use
   * @return this
   * @throws IllegalArgumentException if a value is outside that; nothing is changed
   * @throws IllegalStateException if the transaction is over, or the memory closed
   */
  public SlotTransaction split(int slotId, long byteOffset, int newSlotId) {
    return step(
        new Step() {
          @Override
          public void run(SlotMap base) {
            SlotPlan old = overlay.get(slotId, base);
            if (byteOffset <= 0 || byteOffset >= old.size() || byteOffset % old.pageSize() != 0) {
              throw new IllegalArgumentException(
                  "cannot split "
                      + old
                      + " at offset "
                      + byteOffset
                      + ": it has to be a multiple of the page size, more than 0 and less than "
                      + old.size());
            }
            replace(
                old.part(slotId, old.guestAddress(), byteOffset, old.offset(), old.fresh()), base);
            overlay.put(
                old.part(
                    newSlotId,
                    old.guestAddress() + byteOffset,
                    old.size() - byteOffset,
                    old.offset() + byteOffset,
                    old.fresh()),
                base);
          }
        });
  }

  /**
   * Merges two adjoining slots into one: they are at adjacent addresses, over adjacent parts of the
   * same RAM, and have the same page size. The result has the number of the first.
   *
   * @param firstSlotId the slot of the lower addresses
   * @param secondSlotId the other
   * @return this
   * @throws IllegalArgumentException if there is no such slot, or they are not side by side;
   *     nothing is changed
   * @throws IllegalStateException if the transaction is over, or the memory closed
   */
  public SlotTransaction merge(int firstSlotId, int secondSlotId) {
    return step(
        new Step() {
          @Override
          public void run(SlotMap base) {
            SlotPlan first = overlay.get(firstSlotId, base);
            SlotPlan second = overlay.get(secondSlotId, base);
            if (first.lastAddress() + 1 != second.guestAddress()
                || second.guestAddress() == 0
                || first.pageSize() != second.pageSize()
                || !first.isOver(second)
                || first.ramEnd() != second.offset()) {
              throw new IllegalArgumentException(
                  "cannot merge "
                      + first
                      + " and "
                      + second
                      + ": they have to adjoin in addresses and in RAM, with pages of one"
                      + " size");
            }
            overlay.remove(secondSlotId, base);
            replace(
                first.part(
                    firstSlotId,
                    first.guestAddress(),
                    first.size() + second.size(),
                    first.offset(),
                    RamRange.both(first.fresh(), second.fresh())),
                base);
          }
        });
  }

  /**
   * Gives a slot other RAM, whose size becomes the slot's. Pages that the new RAM shares with the
   * old RAM are carried over; all other pages are dirty for all clients, and the rest of the old
   * RAM goes to the remover.
   *
   * @param slotId its number
   * @param ram the RAM, the embedder's, writable and alive; its size is a multiple of the page
   *     size, more than 0
   * @return this
   * @throws IllegalArgumentException if there is no such slot, or the RAM is wrong as in {@link
   *     #add(int, long, MemorySegment, long)}; nothing is changed
   * @throws IllegalStateException if the transaction is over, or the memory closed
   */
  public SlotTransaction replaceRam(int slotId, MemorySegment ram) {
    return step(
        new Step() {
          @Override
          public void run(SlotMap base) {
            replace(overlay.get(slotId, base).withRam(ram), base);
          }
        });
  }

  /**
   * Makes the change; a transaction inside another hands its steps to the outer one. If the change
   * takes RAM from the guest, it waits for the grace period, until no vCPU or device uses that RAM
   * any more. A vCPU's thread may call it at a point without a half-done store. Commits of several
   * threads follow one another; a vCPU that waits for another commit is offline.
   *
   * @return the slots and parts of slots that the guest lost; close each when it has been read.
   *     Empty for a transaction inside another
   * @throws IllegalArgumentException if what was checked by the steps does not hold any more, or
   *     two slots would be over the same memory; nothing is changed, and the transaction is open
   *     still
   * @throws IllegalStateException if a slot that it changes was changed meanwhile, the memory is
   *     closed, the transaction is over, a step of it was cut short by an {@link Error}, or this is
   *     called while a commit of the same thread tells others of its change; nothing is changed
   * @throws dev.smudge.sync.rcu.RcuException if it takes something away and is called inside a
   *     read-side section or an arm callback; nothing is changed
   * @throws dev.smudge.sync.rcu.RcuTimeoutException if a vCPU does not reach a safepoint in time,
   *     or a read-side section does not end: the change is made; {@link #removed} has the result
   * @throws java.io.UncheckedIOException if the system gives no memory; nothing is changed
   */
  public List<RemovedSlot<GuestSlot>> commit() {
    checkUsable();
    checkWhole();
    if (outer == this) {
      SlotCommit commit = new SlotCommit(space, overlay, GuestSlot::new);
      try {
        commit.run();
      } finally {
        if (commit.isMade()) {
          removed = guestSlots(commit.removed());
          added = commit.added();
          end();
        }
      }
    } else {
      end();
    }
    return removed;
  }

  @SuppressWarnings("unchecked") // what GuestSlot::new has made
  private static List<RemovedSlot<GuestSlot>> guestSlots(List<RemovedSlot<Object>> handles) {
    return (List<RemovedSlot<GuestSlot>>) (List<?>) handles;
  }

  /** {@return the result of the commit, also if it threw after the change was made} */
  public List<RemovedSlot<GuestSlot>> removed() {
    return removed;
  }

  /** A slot that the commit has made. */
  GuestSlot made(int slotId) {
    for (MappedSlot slot : added) {
      if (slot.log.id() == slotId) {
        return GuestSlot.of(slot);
      }
    }
    throw new NoSuchElementException("slot " + slotId);
  }

  private void end() {
    overlay.innermost = outer == this ? null : outer; // with this it is over; no call before it
    done = true;
    if (outer == this) {
      space.endTransaction();
    }
  }

  /**
   * Ends the transaction: without a commit, its steps are forgotten. A second call does nothing.
   *
   * @throws IllegalStateException if a transaction inside this one is open, or it is another
   *     thread's
   */
  @Override
  public void close() {
    if (outer.done) {
      done = true; // it was begun by a listener, say, and went with the commit
    }
    if (!done) {
      checkUsable();
      if (outer != this) { // else all of it is dropped
        boolean half = overlay.halfStep;
        overlay.halfStep = true;
        overlay.rollBack(savepoint);
        overlay.halfStep = half;
      }
      end();
    }
  }
}
