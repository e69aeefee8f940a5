package dev.smudge.sync;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;

/** What a client does, from its start to its close. */
enum ClientOperation implements ErrorOperation {
  TAKE {
    @Override
    public void run(ErrorWorld w) {
      w.a.open = w.a.client().take();
    }

    @Override
    public void after(ErrorWorld w) {
      w.read(w.a, false);
    }
  },
  TAKE_SYNCED {
    @Override
    public void before(ErrorWorld w) {
      w.log.sync();
    }

    @Override
    public void run(ErrorWorld w) {
      w.a.open = w.a.client().takeSynced();
    }

    @Override
    public void after(ErrorWorld w) {
      w.read(w.a, false);
    }
  },
  TAKE_AT_MOST {
    @Override
    public void run(ErrorWorld w) {
      w.a.open = w.a.client().takeAtMost(5);
    }

    @Override
    public void after(ErrorWorld w) {
      w.read(w.a, true);
    }
  },
  TAKE_RANGE {
    @Override
    public void run(ErrorWorld w) {
      w.a.open = w.a.client().takeRange(w.log.slot(0), 10, 700);
    }

    @Override
    public void after(ErrorWorld w) {
      w.read(w.a, false);
    }
  },
  SYNC {
    @Override
    public void run(ErrorWorld w) {
      w.log.sync();
    }
  },
  DISCARD {
    @Override
    public void run(ErrorWorld w) {
      w.a.client().discard(w.log.slot(0), 100, 500);
    }

    @Override
    public void after(ErrorWorld w) {
      w.read(w.a, 0, 100, 500); // what they hold does not matter any more
    }
  },
  LOOK {
    @Override
    public void before(ErrorWorld w) {
      w.a.open = w.a.client().take();
      w.read(w.a, true);
      w.write();
    }

    @Override
    public void run(ErrorWorld w) {
      w.a.client().forEachDirtyRun((slot, first, count) -> {});
    }
  },
  FORK {
    @Override
    public void before(ErrorWorld w) {
      LOOK.before(w);
      w.extra.knowsWhat(w.a);
    }

    @Override
    public void run(ErrorWorld w) {
      w.extra.client = w.a.client().fork("fork");
    }

    @Override
    public void after(ErrorWorld w) {
      w.check(w.extra);
      w.write();
      w.check(w.extra);
      w.closeExtra();
    }
  },
  EXPORT_AND_IMPORT {
    @Override
    public void before(ErrorWorld w) {
      w.extra.client = w.log.client("import", InitialView.NONE_DIRTY);
      FORK.before(w);
      w.done = false;
    }

    @Override
    public void run(ErrorWorld w) throws Exception {
      ByteArrayOutputStream bytes = new ByteArrayOutputStream();
      w.a.client().exportDirty(bytes);
      w.extra.client().importDirty(new ByteArrayInputStream(bytes.toByteArray()));
      w.done = true;
    }

    @Override
    public void after(ErrorWorld w) {
      try {
        if (!w.done) {
          run(w);
        }
      } catch (Exception e) {
        throw new AssertionError(e);
      }
      FORK.after(w);
    }
  },
  BATCH_WALK {
    @Override
    public void before(ErrorWorld w) {
      w.a.open = w.a.client().take();
    }

    @Override
    public void run(ErrorWorld w) {
      w.read(w.a, false);
    }
  },
  BATCH_COMMIT {
    @Override
    public void before(ErrorWorld w) {
      w.a.open = w.a.client().take();
      w.open(w.a).forEachRun((slot, first, count) -> w.read(w.a, slot.id(), first, count));
    }

    @Override
    public void run(ErrorWorld w) {
      w.open(w.a).commit();
    }
  },
  BATCH_CLOSE {
    @Override
    public void before(ErrorWorld w) {
      w.a.open = w.a.client().take();
      w.read(w.a, true);
    }

    @Override
    public void run(ErrorWorld w) {
      w.open(w.a).close();
    }
  },
  CLIENT_START_ALL_DIRTY {
    @Override
    public void run(ErrorWorld w) {
      w.extra.client = w.log.client("extra", InitialView.ALL_DIRTY);
    }

    @Override
    public void after(ErrorWorld w) {
      w.check(w.extra);
      w.closeExtra();
    }
  },
  CLIENT_START_NONE_DIRTY {
    @Override
    public void run(ErrorWorld w) {
      w.extra.client = w.log.client("extra", InitialView.NONE_DIRTY);
    }

    @Override
    public void after(ErrorWorld w) {
      w.readAll(w.extra);
      w.write();
      w.check(w.extra);
      w.closeExtra();
    }
  },
  CLIENT_CLOSE {
    @Override
    public void before(ErrorWorld w) {
      w.extra.client = w.log.client("extra", InitialView.NONE_DIRTY);
      w.extra.open = w.extra.client().take();
    }

    @Override
    public void run(ErrorWorld w) {
      w.extra.client().close();
    }

    @Override
    public void after(ErrorWorld w) {
      w.closeExtra();
    }
  },
  FIRST_CLIENT_START(false) {
    @Override
    public void run(ErrorWorld w) {
      w.extra.client = w.log.client("first", InitialView.NONE_DIRTY);
    }

    @Override
    public void after(ErrorWorld w) {
      w.write();
      if (w.extra.client == null) {
        w.extra.client = w.log.client("again", InitialView.NONE_DIRTY);
      }
      w.readAll(w.extra);
      w.write();
      w.check(w.extra);
      w.closeExtra();
    }
  },
  LAST_CLIENT_CLOSE(false) {
    @Override
    public void before(ErrorWorld w) {
      w.extra.client = w.log.client("last", InitialView.ALL_DIRTY);
      w.check(w.extra);
    }

    @Override
    public void run(ErrorWorld w) {
      w.extra.client().close();
    }

    @Override
    public void after(ErrorWorld w) {
      w.closeExtra();
      w.write();
      w.extra.client = w.log.client("next", InitialView.NONE_DIRTY);
      w.readAll(w.extra);
      w.write();
      w.check(w.extra);
      w.closeExtra();
    }
  };

  private final boolean clients;

  ClientOperation() {
    this(true);
  }

  ClientOperation(boolean clients) {
    this.clients = clients;
  }

  @Override
  public boolean hasClients() {
    return clients;
  }
}
