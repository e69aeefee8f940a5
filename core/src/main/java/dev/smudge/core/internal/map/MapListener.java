package dev.smudge.core.internal.map;

/** Follows the memory map. Called between two changes of the map, in a read-side section. */
public interface MapListener {
  /** {@return its priority: those of low priority come first, and last where a slot goes} */
  int priority();

  /** A change begins. */
  void begin();

  /** A slot is there. */
  void add(MappedSlot slot);

  /** A slot is not there any more. */
  void remove(MappedSlot slot);

  /** A slot stays as it is. */
  void unchanged(MappedSlot slot);

  /** The change ends. */
  void commit();
}
