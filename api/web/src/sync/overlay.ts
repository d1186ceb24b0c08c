import type { Command, Element, Members } from '../protocol';

/** One submitted, not yet settled change: what the overlay shows on top of the server's state. */
export interface Pending {
  seq: number;
  commands: Command[];
  /** Paint-order keys shown until the server's own arrive, by element id. */
  hints: Record<string, string>;
}

/** The ids of elements that a command changes. */
export function touchedIds(command: Command): string[] {
  switch (command.command) {
    case 'element.add':
      return [command.data.element.id];
    case 'element.patch':
      return [command.data.id];
    case 'element.remove':
    case 'element.reorder':
      return command.data.ids;
    default:
      return [];
  }
}

export function patched(element: Element, set: Members | undefined, unset: string[] | undefined): Element {
  const next: Element = { ...element, ...set, id: element.id, type: element.type };
  for (const key of unset ?? []) if (key !== 'id' && key !== 'type') delete next[key];
  return next;
}

const indexes = new WeakMap<Pending, Map<string, Command[]>>();

/** The commands of a pending change by the element they touch. Commands never change once they are pending. */
export function commandsById(pending: Pending): ReadonlyMap<string, Command[]> {
  let index = indexes.get(pending);
  if (!index) {
    index = new Map();
    for (const command of pending.commands) {
      for (const id of touchedIds(command)) {
        const list = index.get(id);
        if (list) list.push(command);
        else index.set(id, [command]);
      }
    }
    indexes.set(pending, index);
  }
  return index;
}

/** What one element looks like after a pending change; undefined = not there. The same rules as the server's, so that nothing jumps. */
export function applyPending(element: Element | undefined, id: string, pending: Pending): Element | undefined {
  let result = element;
  for (const command of commandsById(pending).get(id) ?? []) result = applyCommand(result, command, pending.hints[id]);
  return result;
}

function applyCommand(element: Element | undefined, command: Command, hint: string | undefined): Element | undefined {
  switch (command.command) {
    case 'element.add':
      return element ?? (hint === undefined ? command.data.element : { ...command.data.element, z: hint });
    case 'element.patch':
      return element ? patched(element, command.data.set, command.data.unset) : element;
    case 'element.remove':
      return undefined;
    case 'element.reorder':
      return element && hint !== undefined ? { ...element, z: hint } : element;
    default:
      return element;
  }
}
