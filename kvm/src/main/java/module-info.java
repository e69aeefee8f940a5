/** Guest memory that the Linux kernel tracks. */
module dev.smudge.kvm {
  requires dev.smudge.linux;
  requires transitive dev.smudge.core;
  requires dev.smudge.ring;
  requires static transitive org.jspecify;

  exports dev.smudge.kvm;
}
