import type { Command, Element } from '../protocol';
import { keyBetween, keysBetween } from './zkey';

/** Paint-order keys to show new and reordered elements by until the server's own arrive. `elements` is in paint order. */
export function paintHints(commands: readonly Command[], elements: readonly Element[]): Record<string, string> {
  const hints: Record<string, string> = {};
  let top = elements.at(-1)?.z ?? '';
  for (const command of commands) {
    if (command.command === 'element.add') {
      const before = command.data.before;
      if (before === undefined) top = hints[command.data.element.id] = keyBetween(top, '');
      else hints[command.data.element.id] = keyBetween(...bounds(elements, new Set(), { before }));
    } else if (command.command === 'element.reorder') {
      const { ids } = command.data;
      const moved = elements.filter((e) => ids.includes(e.id));
      const keys = keysBetween(...bounds(elements, new Set(ids), command.data), moved.length);
      moved.forEach((element, i) => (hints[element.id] = keys[i]!));
    }
  }
  return hints;
}

/** The keys between which something goes: "before" is painted earlier, so below. */
function bounds(elements: readonly Element[], moving: ReadonlySet<string>, where: { before?: string; after?: string; to?: string }): [string, string] {
  const rest = elements.filter((e) => !moving.has(e.id));
  const z = (i: number) => rest[i]?.z ?? '';
  if (where.to === 'back') return ['', z(0)];
  if (where.before !== undefined) {
    const i = rest.findIndex((e) => e.id === where.before);
    if (i >= 0) return [z(i - 1), z(i)];
  }
  if (where.after !== undefined) {
    const i = rest.findIndex((e) => e.id === where.after);
    if (i >= 0) return [z(i), z(i + 1)];
  }
  return [z(rest.length - 1), ''];
}
