;; The source of guest.wasm. A request leaves traces: in a page of its own, in a counter in memory,
;; and in a global. The answer tells how many requests this sandbox has seen, twice.
(module
  (memory (export "memory") 16 64)
  (global $seen (mut i32) (i32.const 0))
  (func (export "handle") (param $request i32) (result i32)
    (i32.store (i32.and (i32.shl (local.get $request) (i32.const 12)) (i32.const 0xff000)) (local.get $request))
    (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1)))
    (global.set $seen (i32.add (global.get $seen) (i32.const 1)))
    (i32.add (i32.load (i32.const 8)) (global.get $seen))))
