/** Runs the agents: so it requires Agrona, by itself. */
module consumer {
  requires dev.smudge.sync;
  requires org.agrona;
}
