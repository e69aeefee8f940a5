package dev.smudge.migration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smudge.migration.MigrationResult.End;
import dev.smudge.sync.LogSlot;
import dev.smudge.sync.pages.PagePort;
import dev.smudge.testbase.OtherJvm;
import java.io.FilterInputStream;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A failure is one also where nothing can be said of it: above all, where the heap is full. */
@Timeout(60)
class UnsaidFailureTest {
  /** Of which no other exception can be made, as with a full heap. */
  private static final class Unspeakable extends Error {
    private static final long serialVersionUID = 1L;

    @Override
    public String getMessage() {
      throw new OutOfMemoryError("no room for the text");
    }
  }

  private static boolean isInSecondStream() {
    return Thread.currentThread().getName().equals("migration-1");
  }

  @Test
  void migrate_streamFailsAndNothingCanBeSaidOfIt_stays() throws Exception {
    try (Bench bench = new Bench(1024)) {
      bench.guest.start();
      bench.guest.atRead =
          () -> {
            if (isInSecondStream()) {
              throw new Unspeakable();
            }
          };
      bench.assertOneGuest(bench.migrate(2, Bench.NOTHING, Bench.NOTHING));
      assertFalse(bench.ranThere);
      bench.guest.atRead = () -> {};
      bench.assertMovesNow(2);
    }
  }

  @Test
  void receive_streamFailsAndNothingCanBeSaidOfIt_bothEndsKnow() throws Exception {
    try (Bench bench = new Bench(2048)) {
      bench.guest.start();
      Connection[] first = Connection.pair();
      Connection[] second = Connection.pair();
      CompletableFuture<Void> destination =
          inThread(() -> {
            try (MigrationTarget in = MigrationTarget.accept(first[1], second[1])) {
              Guest made = new Guest(in.slots());
              in.receive(new GuestRam<>(made.client, made.slots, failing(made)), made, () -> {});
            }
          });
      CompletableFuture<Void> source =
          inThread(() -> assertEquals(End.STAYED, bench.source.migrate(first[0], second[0]).end()));
      source.get(20, TimeUnit.SECONDS);
      assertThrows(ExecutionException.class, () -> destination.get(20, TimeUnit.SECONDS));
      assertTrue(bench.guest.isRunning());
    }
  }

  private interface Body {
    void run() throws Exception;
  }

  private static CompletableFuture<Void> inThread(Body body) {
    CompletableFuture<Void> end = new CompletableFuture<>();
    Thread thread =
        new Thread(() -> {
          try {
            body.run();
            end.complete(null);
          } catch (Throwable e) {
            end.completeExceptionally(e);
          }
        });
    thread.setDaemon(true);
    thread.start();
    return end;
  }

  private static PagePort<LogSlot> failing(Guest guest) {
    return new PagePort.OwnRam() {
      @Override
      public void read(LogSlot slot, long page, byte[] into) {
        guest.read(slot, page, into);
      }

      @Override
      public void write(LogSlot slot, long page, byte[] from) {
        if (isInSecondStream()) {
          throw new Unspeakable();
        }
        guest.write(slot, page, from);
      }
    };
  }

  /** One that throws the same object in each read and write. */
  private static Connection throwing(IOException each, Connection of) {
    InputStream in =
        new FilterInputStream(of.input()) {
          @Override
          public int read(byte[] into, int from, int length) throws IOException {
            throw each;
          }

          @Override
          public int available() {
            return 0;
          }
        };
    OutputStream out =
        new FilterOutputStream(of.output()) {
          @Override
          public void write(byte[] from, int at, int length) throws IOException {
            throw each;
          }
        };
    return Connection.of(in, out);
  }

  @Test
  void migrate_connectionThrowsOneObjectEachTime_isTheFailure() throws Exception {
    IOException each = new IOException("of a connection");
    try (Bench bench = new Bench(64)) {
      bench.guest.start();
      MigrationResult result =
          bench.migrate(1, (connection, i) -> throwing(each, connection), Bench.NOTHING);
      assertSame(each, result.failure());
      bench.assertMovesNow(1);
    }
  }

  @Test
  void accept_connectionThrowsOneObjectEachTime_throwsItAndCloses() throws Exception {
    IOException each = new IOException("of a connection");
    Connection[] ends = Connection.pair();
    Connection broken = throwing(each, ends[0]);
    assertSame(each, assertThrows(IOException.class, () -> MigrationTarget.accept(broken)));
    assertEquals(-1, ends[1].input().read(), "the connection is open");
  }

  /** Fills the heap of a JVM of its own in a migration, and prints how that ends. */
  static final class FullHeap {
    private static final int MOST = 4_000_000;
    private static Object @Nullable [] ballast;

    private FullHeap() {}

    static void fill() {
      Object[] blocks = new Object[MOST];
      int count = 0;
      for (int size = 1 << 20; size > 0; size >>= 2) {
        try {
          while (true) {
            blocks[count++] = new byte[size];
          }
        } catch (OutOfMemoryError e) {
          blocks[count - 1] = null; // smaller ones
        }
      }
      ballast = blocks;
    }

    static Connection fillingAtClose(Connection of) {
      return new Connection() {
        @Override
        public InputStream input() {
          return of.input();
        }

        @Override
        public OutputStream output() {
          return of.output();
        }

        @Override
        public void close() throws IOException {
          of.close();
          fill();
        }
      };
    }

    /**
     * Starts here.
     *
     * @param arguments where the heap is full: in a {@code read} or at a {@code close}
     */
    public static void main(String[] arguments) throws Exception {
      boolean read = arguments[0].equals("read");
      List<String> ends = new ArrayList<>();
      for (boolean full : new boolean[] {false, true}) { // the first loads all classes
        Bench bench = new Bench(1024);
        bench.guest.start();
        if (full && read) {
          bench.guest.atRead =
              () -> {
                if (isInSecondStream() && ballast == null) {
                  fill();
                }
              };
        }
        bench.attempt(
            2,
            (connection, i) -> full && !read && i == 1 ? fillingAtClose(connection) : connection,
            Bench.NOTHING,
            (first, more) -> {
              try {
                MigrationResult result = bench.source.migrate(first, more);
                ballast = null;
                ends.add(result.end() + " ");
              } catch (Error e) {
                ballast = null;
                ends.add("thrown ");
              }
              ends.add(bench.guest.isRunning() ? "here " : "not here ");
            });
        ends.add(bench.ranThere ? "there; " : "not there; ");
      }
      System.out.println(String.join("", ends));
      System.exit(0); // guests run on
    }
  }

  private static String lastLine(String where) throws Exception {
    String output =
        OtherJvm.run(FullHeap.class, List.of("-Xmx64m", "-XX:+UseSerialGC"), where).strip();
    return output.substring(output.lastIndexOf('\n') + 1);
  }

  @Test
  void migrate_heapIsFullInAStream_stays() throws Exception {
    String end = lastLine("read"); // of the first round, so the guest has not been stopped
    assertTrue(end.matches(".* there; (STAYED|thrown) here not there;"), end);
  }

  @Test
  void migrate_heapIsFullAfterTheHandOver_saysWhereTheGuestIs() throws Exception {
    String end = lastLine("close");
    assertTrue(end.endsWith("there; HANDED_OVER not here there;"), end);
  }
}
