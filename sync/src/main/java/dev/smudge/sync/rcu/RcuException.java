package dev.smudge.sync.rcu;

/** A call of {@link Rcu} where it is not allowed, or a thread that ended inside a section. */
public final class RcuException extends IllegalStateException {
  private static final long serialVersionUID = 1L;

  RcuException(String message) {
    super(message);
  }
}
