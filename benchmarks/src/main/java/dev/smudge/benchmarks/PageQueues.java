package dev.smudge.benchmarks;

import com.lmax.disruptor.BusySpinWaitStrategy;
import com.lmax.disruptor.EventPoller;
import com.lmax.disruptor.RingBuffer;
import dev.smudge.ring.DirtyRing;
import dev.smudge.ring.HarvestedPages;
import dev.smudge.ring.RingArmer;
import dev.smudge.ring.RingHarvester;
import dev.smudge.ring.RingLayout;
import dev.smudge.ring.RingPageConsumer;
import dev.smudge.ring.RingProducer;
import dev.smudge.ring.RingResetter;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.util.Arrays;
import org.jctools.queues.MessagePassingQueue;
import org.jctools.queues.varhandle.SpscVarHandleArrayQueue;

/** The dirty ring and its peers. */
final class PageQueues {
  private PageQueues() {}

  /** Ours: harvests, re-arms with one atomic AND a word, gives back, and hands out. */
  static final class Ring extends PageQueue {
    private static final VarHandle LIVE = MethodHandles.arrayElementVarHandle(long[].class);

    private final RingProducer producer;
    private final RingHarvester harvester;
    private final RingResetter resetter;
    private final HarvestedPages pages;
    private final RingArmer armer;
    private final RingPageConsumer consumer = (slotId, page) -> sum += slotId + page;

    private Ring(DirtyRing ring, int pageCount) {
      producer = ring.producer();
      harvester = ring.harvester();
      resetter = ring.resetter();
      pages = ring.newHarvest();
      long[] live = new long[pageCount >>> 6];
      Arrays.fill(live, -1);
      armer = (slotId, word, mask) -> LIVE.getAndBitwiseAnd(live, (int) word, ~mask);
    }

    static PageQueue onHeap(int entries, int pageCount) {
      return new Ring(DirtyRing.allocate(entries, 0), pageCount);
    }

    static PageQueue direct(int entries, int pageCount) {
      ByteBuffer memory = ByteBuffer.allocateDirect(entries * RingLayout.ENTRY_SIZE + 4096);
      ByteBuffer ring = memory.alignedSlice(4096).slice(0, entries * RingLayout.ENTRY_SIZE);
      return new Ring(DirtyRing.over(ring, 0), pageCount);
    }

    @Override
    boolean offer(int slotId, long page) {
      return producer.push(slotId, page);
    }

    @Override
    int drain() {
      int count = harvester.harvest(pages);
      if (count > 0) {
        resetter.reset(armer);
        pages.forEachPage(Ring::noBarrier, consumer);
      }
      return count;
    }

    private static void noBarrier() {}
  }

  /** JCTools: references to objects, one a page, that are made before. */
  static final class JcTools extends PageQueue
      implements MessagePassingQueue.Consumer<JcTools.Page> {
    record Page(int slotId, long page) {}

    private final SpscVarHandleArrayQueue<Page> queue;
    private final Page[] pages;
    private final int entries;

    JcTools(int entries, int pageCount) {
      this.entries = entries;
      queue = new SpscVarHandleArrayQueue<>(entries);
      pages = new Page[pageCount];
      Arrays.setAll(pages, page -> new Page(1, page));
    }

    @Override
    boolean offer(int slotId, long page) {
      return queue.relaxedOffer(pages[(int) page]);
    }

    @Override
    int drain() {
      return queue.drain(this, entries);
    }

    @Override
    public void accept(Page page) {
      sum += page.slotId + page.page;
    }
  }

  /** Disruptor: an event an entry, made before, and a poller. */
  static final class Disruptor extends PageQueue implements EventPoller.Handler<Disruptor.Event> {
    static final class Event {
      int slotId;
      long page;
    }

    private final RingBuffer<Event> queue;
    private final EventPoller<Event> poller;
    private int count;

    Disruptor(int entries) {
      queue = RingBuffer.createSingleProducer(Event::new, entries, new BusySpinWaitStrategy());
      poller = queue.newPoller();
      queue.addGatingSequences(poller.getSequence());
    }

    @Override
    boolean offer(int slotId, long page) {
      if (!queue.hasAvailableCapacity(1)) {
        return false;
      }
      long sequence = queue.next();
      Event event = queue.get(sequence);
      event.slotId = slotId;
      event.page = page;
      queue.publish(sequence);
      return true;
    }

    @Override
    int drain() {
      count = 0;
      try {
        poller.poll(this);
      } catch (Exception e) {
        throw new IllegalStateException(e);
      }
      return count;
    }

    @Override
    public boolean onEvent(Event event, long sequence, boolean endOfBatch) {
      sum += event.slotId + event.page;
      count++;
      return true;
    }
  }
}
