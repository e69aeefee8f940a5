package dev.smudge.benchmarks;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import run.endive.compiler.MachineFactoryCompiler;
import run.endive.runtime.ByteArrayMemory;
import run.endive.runtime.ImportValues;
import run.endive.runtime.Instance;
import run.endive.wasi.WasiExitException;
import run.endive.wasi.WasiOptions;
import run.endive.wasi.WasiPreview1;
import run.endive.wasm.Parser;
import run.endive.wasm.WasmModule;

/** WebAssembly's text format to a module, by WABT's wat2wasm, itself run as WebAssembly. */
final class Wat {
  private Wat() {}

  static WasmModule compile(String wat) throws IOException {
    return Parser.parse(toBytes(wat));
  }

  static byte[] toBytes(String wat) throws IOException {
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
    try (InputStream tool = Wat.class.getResourceAsStream("/wat2wasm");
        WasiPreview1 wasi = WasiPreview1.builder().withOptions(options).build()) {
      Instance.builder(Parser.parse(tool))
          .withMemoryFactory(ByteArrayMemory::new)
          .withMachineFactory(MachineFactoryCompiler::compile)
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
