/** Guest RAM, slots, address space and tracked accessors. */
module dev.smudge.core {
  requires transitive dev.smudge.sync;
  requires dev.smudge.linux;
  requires static transitive org.jspecify;

  exports dev.smudge.core;
}
