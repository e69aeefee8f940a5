package dev.smudge.sync;

import static org.junit.jupiter.api.Assertions.assertTrue;

/** What is done with a log beside its clients: slots, devices, seals, marks, vCPUs and reaps. */
enum LogOperation implements ErrorOperation {
  SLOT_ADD {
    @Override
    public void run(ErrorWorld w) {
      w.log.addSlot(2, ErrorWorld.PAGES[2], ErrorWorld.PAGE);
    }

    @Override
    public void after(ErrorWorld w) {
      w.forget(2);
      w.check();
      w.removeIfThere(2);
    }
  },
  SLOT_REMOVE {
    @Override
    public void before(ErrorWorld w) {
      w.removeIfThere(2);
      w.forget(2);
      LogSlot slot = w.log.addSlot(2, ErrorWorld.PAGES[2], ErrorWorld.PAGE);
      w.check();
      w.write();
      w.released = 0;
      w.change = w.log.change().remove(slot, () -> w.released++);
    }

    @Override
    public void run(ErrorWorld w) {
      w.change().commit();
    }

    @Override
    public void after(ErrorWorld w) {
      if (w.slot(2) != null) {
        w.change().commit(); // what is left of the first attempt does not count
      }
      w.log.sync(); // its retirement is a task by now, if it was cut short
      w.log.rcu().barrier();
      w.checkRemoved(2, w.change().removed().get(0));
      assertTrue(w.released == 1, "released " + w.released + " times");
    }
  },
  DEVICE_CLOSE {
    @Override
    public void before(ErrorWorld w) {
      w.addLeaving();
    }

    @Override
    public void run(ErrorWorld w) {
      w.registration().close();
      w.log.rcu().barrier();
    }

    @Override
    public void after(ErrorWorld w) {
      w.registration().close();
      w.log.sync();
      w.log.rcu().barrier();
    }
  },
  SLOT_REPLACE {
    @Override
    public void before(ErrorWorld w) {
      w.change = w.log.change();
      LogSlot slot = w.log.slot(1);
      LogSlot next = w.change().add(1, ErrorWorld.PAGES[1], ErrorWorld.PAGE);
      w.change().remove(slot).carry(slot, 0, next, 0, ErrorWorld.PAGES[1]);
    }

    @Override
    public void run(ErrorWorld w) {
      w.change().commit();
    }
  },
  SLOT_REPLACE_WHILE_IN_A_BATCH {
    @Override
    public void before(ErrorWorld w) {
      w.a.open = w.a.client().take();
      SLOT_REPLACE.before(w);
      w.read(w.a, true);
    }

    @Override
    public void run(ErrorWorld w) {
      w.change().commit();
    }
  },
  SEAL {
    @Override
    public void run(ErrorWorld w) {
      w.log.seal();
    }

    @Override
    public void after(ErrorWorld w) {
      w.log.unseal();
    }
  },
  MARK {
    @Override
    public void before(ErrorWorld w) {
      w.vcpu.online();
      w.vcpu.safepoint();
      w.done = false;
    }

    @Override
    public void run(ErrorWorld w) {
      w.vcpu.mark(w.log.slot(0), 62 * ErrorWorld.PAGE, 5 * ErrorWorld.PAGE);
      w.done = true;
    }

    @Override
    public void after(ErrorWorld w) {
      for (int page = 62; w.done && page < 67; page++) {
        w.store(0, page); // before its next safepoint
      }
      w.vcpu.offline();
    }
  },
  HOST_MARK {
    @Override
    public void before(ErrorWorld w) {
      w.done = false;
      w.store(0, 500);
    }

    @Override
    public void run(ErrorWorld w) {
      w.log.mark(w.log.slot(0), 500 * ErrorWorld.PAGE, 1);
      w.done = true;
    }

    @Override
    public void after(ErrorWorld w) {
      if (!w.done) {
        w.log.mark(w.log.slot(0), 500 * ErrorWorld.PAGE, 1);
      }
    }
  },
  MARK_FOR_OTHERS {
    @Override
    public void before(ErrorWorld w) {
      w.done = false;
      w.store(0, 600);
      w.read(w.a, 0, 600, 1); // the writer knows what it has written
    }

    @Override
    public void run(ErrorWorld w) {
      w.a.client().markForOthers(w.log.slot(0), 600 * ErrorWorld.PAGE, 1);
      w.done = true;
    }

    @Override
    public void after(ErrorWorld w) {
      if (!w.done) {
        w.a.client().markForOthers(w.log.slot(0), 600 * ErrorWorld.PAGE, 1);
      }
    }
  },
  VCPU_CLOSE {
    @Override
    public void before(ErrorWorld w) {
      w.other = w.log.addVcpu();
      for (int page = 0; page < 1_000; page += 200) {
        w.store(0, page);
        w.other().mark(w.log.slot(0), (long) page * ErrorWorld.PAGE, 1);
      }
      w.other().offline();
    }

    @Override
    public void run(ErrorWorld w) {
      w.other().close();
    }

    @Override
    public void after(ErrorWorld w) {
      w.other().close();
    }
  },
  REAP {
    @Override
    public boolean isIn(Mode mode) {
      return mode.hasRings();
    }

    @Override
    public void before(ErrorWorld w) {
      w.vcpu.online();
      for (int page = 0; page < 160; page++) {
        w.store(0, page);
        w.vcpu.mark(w.log.slot(0), (long) page * ErrorWorld.PAGE, 1);
      }
      w.vcpu.offline();
    }

    @Override
    public void run(ErrorWorld w) throws Exception {
      w.log.reaper().doWork();
    }
  };
}
