package dev.smudge.core;

import org.junit.jupiter.api.Nested;

/** {@link RamContract} over every kind of RAM. */
class RamContractTest {
  @Nested
  class Sparse extends RamContract {
    Sparse() {
      super(RamKind.SPARSE);
    }
  }

  @Nested
  class Native extends RamContract {
    Native() {
      super(RamKind.NATIVE);
    }
  }

  @Nested
  class MappedFile extends RamContract {
    MappedFile() {
      super(RamKind.MAPPED_FILE);
    }
  }

  @Nested
  class ByteArray extends RamContract {
    ByteArray() {
      super(RamKind.BYTE_ARRAY);
    }
  }

  @Nested
  class ShortArray extends RamContract {
    ShortArray() {
      super(RamKind.SHORT_ARRAY);
    }
  }

  @Nested
  class IntArray extends RamContract {
    IntArray() {
      super(RamKind.INT_ARRAY);
    }
  }

  @Nested
  class LongArray extends RamContract {
    LongArray() {
      super(RamKind.LONG_ARRAY);
    }
  }

  @Nested
  class DirectBuffer extends RamContract {
    DirectBuffer() {
      super(RamKind.DIRECT_BUFFER);
    }
  }

  @Nested
  class HeapBuffer extends RamContract {
    HeapBuffer() {
      super(RamKind.HEAP_BUFFER);
    }
  }

  @Nested
  class NativeOffByOne extends RamContract {
    NativeOffByOne() {
      super(RamKind.NATIVE_OFF_BY_ONE);
    }
  }

  @Nested
  class NativeOffByFour extends RamContract {
    NativeOffByFour() {
      super(RamKind.NATIVE_OFF_BY_FOUR);
    }
  }
}
