/** Dirty ring in the layout of KVM. */
module dev.smudge.ring {
  requires static transitive org.jspecify;

  exports dev.smudge.ring;
}
