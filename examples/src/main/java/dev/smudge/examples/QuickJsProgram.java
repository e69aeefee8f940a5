package dev.smudge.examples;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.smudge.core.GuestMemory;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;

/**
 * A JavaScript program that nobody here wrote: the parser esprima, which parses sources of lodash,
 * one a call, in QuickJS compiled to WebAssembly. Its globals keep the last trees and a digest of
 * all, so a lost page shows in what it prints.
 *
 * @param calls how many calls it makes before it ends
 */
record QuickJsProgram(int calls) implements Program {
  static final String KIND = "quickjs";
  static final int DEFAULT_CALLS = 40;
  static final int SLOT = 0;

  /** What the guest's memory may grow to; it needs a tenth of it. */
  private static final long RAM = 64L << 20;

  private static final List<String> TEXTS =
      List.of(
          "template",
          "debounce",
          "_baseClone",
          "_createHybrid",
          "_equalByTag",
          "_createWrap",
          "truncate",
          "_baseMergeDeep",
          "_equalObjects",
          "wrapperLodash");

  QuickJsProgram {
    if (calls < 1) {
      throw new IllegalArgumentException("a quickjs guest cannot make " + calls + " calls");
    }
  }

  /**
   * Reads {@link #config}.
   *
   * @throws IllegalArgumentException if it is not what {@code config} writes
   */
  static QuickJsProgram parse(byte[] config) {
    return new QuickJsProgram(Integer.parseInt(new String(config, UTF_8)));
  }

  @Override
  public String kind() {
    return KIND;
  }

  @Override
  public byte[] config() {
    return String.valueOf(calls).getBytes(UTF_8);
  }

  /** {@return the third-party library, as a script that makes {@code esprima} global} */
  static String library() {
    return "(function(){" + webjar("esprima/4.0.1/dist/esprima.js") + "}).call(globalThis)";
  }

  /** {@return the texts that it parses} */
  static List<String> texts() {
    List<String> texts = new ArrayList<>();
    for (String name : TEXTS) {
      texts.add(webjar("lodash/4.18.1/" + name + ".js"));
    }
    return texts;
  }

  /** {@return the script that calls it} */
  static String driver() {
    return resource("/dev/smudge/examples/parser-guest.js");
  }

  private static String webjar(String path) {
    return resource("/META-INF/resources/webjars/" + path);
  }

  private static String resource(String path) {
    try (InputStream in = QuickJsProgram.class.getResourceAsStream(path)) {
      if (in == null) {
        throw new IllegalStateException("not on the class path: " + path);
      }
      return new String(in.readAllBytes(), UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Override
  public void addSlots(GuestMemory memory) {
    memory.addSlot(SLOT, 0, RAM);
  }

  @Override
  public Guest boot(Machine machine, GuestOutput output) {
    return QuickJsGuest.boot(this, machine.memory(), output);
  }

  @Override
  public Guest restore(Machine machine, byte[] state, GuestOutput output) {
    return QuickJsGuest.restore(this, machine.memory(), state, output);
  }
}
