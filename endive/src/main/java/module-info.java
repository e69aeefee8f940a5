/** The Memory of Endive over a tracked slot. */
module dev.smudge.endive {
  requires transitive dev.smudge.core;
  requires transitive run.endive.runtime;
  requires static transitive org.jspecify;

  exports dev.smudge.endive;
}
