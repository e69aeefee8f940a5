package dev.smudge.endive;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.function.Function;
import run.endive.compiler.MachineFactoryCompiler;
import run.endive.runtime.ByteArrayMemory;
import run.endive.runtime.ImportValues;
import run.endive.runtime.Instance;
import run.endive.runtime.InterpreterMachine;
import run.endive.runtime.Machine;
import run.endive.runtime.Memory;
import run.endive.wasi.WasiExitException;
import run.endive.wasi.WasiOptions;
import run.endive.wasi.WasiPreview1;
import run.endive.wasm.Parser;
import run.endive.wasm.WasmModule;
import run.endive.wasm.types.MemoryLimits;

/** WebAssembly's text format to a module, by WABT's wat2wasm, itself run as WebAssembly. */
final class Wat {
  private static final WasmModule TOOL = tool();
  private static final Function<Instance, Machine> COMPILED = MachineFactoryCompiler.compile(TOOL);

  private Wat() {}

  private static WasmModule tool() {
    try (InputStream in = Wat.class.getClassLoader().getResourceAsStream("wat2wasm")) {
      return Parser.parse(Objects.requireNonNull(in));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static WasmModule compile(String wat) {
    return Parser.parse(toBytes(wat, ByteArrayMemory::new, true));
  }

  /** The module's bytes, made by wat2wasm running over a memory of the caller's. */
  static byte[] toBytes(String wat, Function<MemoryLimits, Memory> memory, boolean compiled) {
    try {
      return run(wat, memory, compiled);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static byte[] run(String wat, Function<MemoryLimits, Memory> memory, boolean compiled)
      throws IOException {
    Path directory = Files.createTempDirectory("wat");
    Path file = directory.resolve("module.wat");
    Files.writeString(file, wat);
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    ByteArrayOutputStream err = new ByteArrayOutputStream();
    WasiOptions options =
        WasiOptions.builder()
            .withStdout(out, false)
            .withStderr(err, false)
            .withDirectory("/w", directory)
            .withArguments(List.of("wat2wasm", "/w/module.wat", "--enable-threads", "--output=-"))
            .build();
    try (WasiPreview1 wasi = WasiPreview1.builder().withOptions(options).build()) {
      Instance.builder(TOOL)
          .withMachineFactory(compiled ? COMPILED : InterpreterMachine::new)
          .withMemoryFactory(memory)
          .withImportValues(ImportValues.builder().addFunction(wasi.toHostFunctions()).build())
          .build();
    } catch (WasiExitException e) {
      if (e.exitCode() != 0) {
        throw new IllegalArgumentException(err.toString(StandardCharsets.UTF_8), e);
      }
    } finally {
      Files.delete(file);
      Files.delete(directory);
    }
    return out.toByteArray();
  }
}
