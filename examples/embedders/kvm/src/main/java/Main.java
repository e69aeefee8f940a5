import dev.smudge.core.GuestSlot;
import dev.smudge.migration.Connection;
import dev.smudge.migration.GuestRam;
import dev.smudge.migration.MigrationResult;
import dev.smudge.migration.MigrationSource;
import dev.smudge.migration.MigrationTarget;
import dev.smudge.sync.DirtyClient;
import dev.smudge.sync.InitialView;
import java.io.IOException;

/** Moves a guest of the kernel's from one VM to another while it runs, and lets it end there. */
final class Main {
  public static void main(String[] args) throws Exception {
    Connection[] ends = Connection.pair(); // a socket, between two machines
    Thread destination = new Thread(() -> destination(ends[1]), "destination");
    destination.start();
    try (Guest guest = new Guest()) {
      DirtyClient<GuestSlot> client = guest.memory.client("migration", InitialView.ALL_DIRTY);
      guest.boot();
      guest.reset();
      guest.start();
      while (guest.counter() == 0) {
        Thread.onSpinWait();
      }
      MigrationResult result =
          MigrationSource.of(
                  new GuestRam<>(client, guest.memory.slots(), guest.memory.pages()), guest, guest)
              .migrate(ends[0]);
      System.out.println(result + ", at " + guest.counter());
      if (result.end() != MigrationResult.End.HANDED_OVER) {
        System.exit(1);
      }
    }
    destination.join();
  }

  private static void destination(Connection connection) {
    try (MigrationTarget target = MigrationTarget.accept(connection);
        Guest guest = new Guest()) {
      DirtyClient<GuestSlot> client = guest.memory.client("incoming", InitialView.NONE_DIRTY);
      target.receive(
          new GuestRam<>(client, guest.memory.slots(), guest.memory.pages()), guest, guest::start);
      guest.join();
      System.out.println("kvm: the guest ended at its destination, with " + guest.counter());
      if (!guest.isComplete()) {
        System.err.println("a page of the guest's has another sum");
        System.exit(1);
      }
    } catch (IOException | InterruptedException e) {
      e.printStackTrace();
      System.exit(1);
    }
  }

  private Main() {}
}
