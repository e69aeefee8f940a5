package dev.smudge.migration;

import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/** The total digest of a migration stream; see {@link StreamLayout}. */
final class StreamDigest {
  private final MessageDigest sha = newSha();

  private static MessageDigest newSha() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every JDK has SHA-256", e);
    }
  }

  void update(byte[] bytes, int length) {
    sha.update(bytes, 0, length);
  }

  /** {@return the digest of digests, in their order} */
  static byte[] of(byte[][] digests) {
    MessageDigest all = newSha();
    for (byte[] each : digests) {
      all.update(each);
    }
    return all.digest();
  }

  /** {@return the digest so far; it can go on} */
  byte[] value() {
    try {
      return ((MessageDigest) sha.clone()).digest();
    } catch (CloneNotSupportedException e) {
      throw new IllegalStateException("the JDK's SHA-256 can be cloned", e);
    }
  }
}
