package dev.smudge.snapshot.owner;

import dev.smudge.sync.DirtyClient;
import java.util.Collections;
import java.util.Map;
import java.util.Objects;
import java.util.WeakHashMap;
import org.jspecify.annotations.Nullable;

/**
 * One that takes the pages of a client, and whom each page would be missing that another takes of
 * that client. A client has one of these from the first claim on, as long as there is the client.
 *
 * <p>Threads: any.
 */
public final class ClientOwner {
  private static final Map<DirtyClient<?>, ClientOwner> OWNERS =
      Collections.synchronizedMap(new WeakHashMap<>()); // an owner refers to no client

  private final String refusal;

  /**
   * Makes one, without a client.
   *
   * @param refusal what others are told of a client that this one has, after the client's name
   */
  public ClientOwner(String refusal) {
    this.refusal = refusal;
  }

  /**
   * Claims a client. Does nothing if this one has it.
   *
   * @param client the client
   * @param before the owner that it is taken over from, if it has the client; null: none
   * @throws IllegalStateException if another has it
   */
  @SuppressWarnings("ReferenceEquality") // an owner is itself alone
  public void claim(DirtyClient<?> client, @Nullable ClientOwner before) {
    Objects.requireNonNull(client, "client");
    synchronized (OWNERS) {
      ClientOwner has = OWNERS.get(client);
      if (has != null && has != this && has != before) {
        throw new IllegalStateException(client + has.refusal);
      }
      OWNERS.put(client, this);
    }
  }

  /**
   * Gives a client back, if this one has it.
   *
   * @param client the client
   */
  public void release(DirtyClient<?> client) {
    OWNERS.remove(client, this);
  }
}
