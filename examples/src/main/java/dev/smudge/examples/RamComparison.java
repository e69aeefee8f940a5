package dev.smudge.examples;

import dev.smudge.bitmap.PageSet;
import dev.smudge.core.GuestMemory;
import dev.smudge.core.GuestSlot;
import dev.smudge.migration.Messages;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Compares RAM of the destination with that of the source, byte for byte, before the guest is
 * handed over. Neither runs meanwhile.
 *
 * <p>The source says what is in its RAM, a message per piece: u32 slot, u64 offset, u32 length, and
 * the content, which is left out if it is all zero. A message of no bytes ends it. The destination
 * answers: u64 pages, u64 differing, and u64 for each of the first addresses that differ.
 */
final class RamComparison {
  private static final int PIECE = 128 << 10;
  private static final int HEAD = 2 * Integer.BYTES + Long.BYTES;
  private static final byte[] ZEROES = new byte[PIECE];

  private final GuestMemory memory;
  private final List<Long> first = new ArrayList<>();
  private long differing;
  private long pages;

  private RamComparison(GuestMemory memory) {
    this.memory = memory;
  }

  /** Asks the destination about all that a program can have written. */
  static Comparison ask(Messages destination, Program program, GuestMemory memory)
      throws IOException {
    for (Map.Entry<GuestSlot, PageSet> each : footprint(program, memory).entrySet()) {
      List<long[]> runs = new ArrayList<>();
      each.getValue().forEachRun((page, count) -> runs.add(new long[] {page, count}));
      GuestSlot slot = each.getKey();
      for (long[] run : runs) {
        long end = (run[0] + run[1]) * slot.pageSize();
        for (long at = run[0] * slot.pageSize(); at < end; at += PIECE) {
          destination.send(piece(slot, at, (int) Math.min(PIECE, end - at)));
        }
      }
    }
    destination.send(new byte[0]);
    return comparison(ByteBuffer.wrap(destination.receive()));
  }

  private static Map<GuestSlot, PageSet> footprint(Program program, GuestMemory memory) {
    Map<GuestSlot, PageSet> sets = new LinkedHashMap<>();
    for (GuestSlot slot : memory.slots()) {
      sets.put(slot, new PageSet(slot.pageCount()));
    }
    program.footprint(
        memory,
        (address, length) ->
            sets.forEach((slot, set) -> {
              long offset = address - slot.guestAddress();
              if (offset >= 0 && offset < slot.size()) {
                long page = offset / slot.pageSize();
                set.addRange(page, (offset + length - 1) / slot.pageSize() - page + 1);
              }
            }));
    return sets;
  }

  private static byte[] piece(GuestSlot slot, long offset, int length) {
    byte[] content = slot.ram().asSlice(offset, length).toArray(ValueLayout.JAVA_BYTE);
    boolean isZero = Arrays.equals(content, 0, length, ZEROES, 0, length);
    ByteBuffer message = ByteBuffer.allocate(HEAD + (isZero ? 0 : length));
    message.putInt(slot.id()).putLong(offset).putInt(length);
    return (isZero ? message : message.put(content)).array();
  }

  private static Comparison comparison(ByteBuffer answer) {
    long pages = answer.getLong();
    long differing = answer.getLong();
    List<Long> first = new ArrayList<>();
    while (answer.hasRemaining()) {
      first.add(answer.getLong());
    }
    return new Comparison(pages, differing, first);
  }

  /** Answers the source. */
  static void answer(Messages source, GuestMemory memory) throws IOException {
    RamComparison comparison = new RamComparison(memory);
    for (byte[] piece = source.receive(); piece.length > 0; piece = source.receive()) {
      comparison.compare(ByteBuffer.wrap(piece));
    }
    source.send(comparison.answer());
  }

  private void compare(ByteBuffer piece) {
    GuestSlot slot = memory.slot(piece.getInt());
    long offset = piece.getLong();
    int length = piece.getInt();
    MemorySegment theirs = MemorySegment.ofArray(ZEROES).asSlice(0, length);
    if (piece.hasRemaining()) {
      theirs = MemorySegment.ofBuffer(piece);
    }
    int page = (int) slot.pageSize(); // a piece is made of whole pages
    for (int at = 0; at < length; at += page) {
      pages++;
      long mismatch =
          MemorySegment.mismatch(
              theirs, at, at + page, slot.ram(), offset + at, offset + at + page);
      if (mismatch >= 0) {
        differing++;
        if (first.size() < Comparison.SHOWN) {
          first.add(slot.guestAddress() + offset + at + mismatch);
        }
      }
    }
  }

  private byte[] answer() {
    ByteBuffer answer = ByteBuffer.allocate((2 + first.size()) * Long.BYTES);
    answer.putLong(pages).putLong(differing);
    first.forEach(answer::putLong);
    return answer.array();
  }
}
