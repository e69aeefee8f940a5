package dev.smudge.sync.rcu;

/**
 * 128 bytes in front of the fields of each {@link RcuReader}: no two readers write to one cache
 * line, or to neighbouring ones. The JVM lays out the fields of a superclass first.
 */
@SuppressWarnings("unused") // space
abstract class RcuReaderPadding {
  private int gap; // behind the header, where the JVM would put small fields of the subclass
  private long p0, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11, p12, p13, p14, p15;
}
