import type { Element } from '../protocol';

export interface Point {
  x: number;
  y: number;
}

export interface Box extends Point {
  width: number;
  height: number;
}

const num = (value: unknown, fallback: number): number => (typeof value === 'number' && Number.isFinite(value) ? value : fallback);

export const FONT = 'Inter, ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';
export const LINE_HEIGHT = 1.25;
/** Shown where an element names no size, in canvas units. */
const DEFAULT_SIZE = 120;

export const at = (e: Element): Point => ({ x: num(e.x, 0), y: num(e.y, 0) });
export const rotationOf = (e: Element): number => num(e.rotation, 0);
export const fontSizeOf = (e: Element): number => Math.max(1, num(e.fontSize, 20));

export function pointsOf(e: Element): [number, number][] {
  if (!Array.isArray(e.points)) return [];
  return e.points.filter((p): p is [number, number] => Array.isArray(p) && Number.isFinite(p[0]) && Number.isFinite(p[1]));
}

export const isLinear = (e: Element): boolean => pointsOf(e).length > 1 && (e.type === 'path' || e.shape === 'line' || e.shape === 'arrow');

let measuring: CanvasRenderingContext2D | null | undefined;

export function measureText(text: string, fontSize: number): { width: number; height: number } {
  measuring ??= document.createElement('canvas').getContext('2d');
  const lines = text.split('\n');
  let width = 0;
  if (measuring) {
    measuring.font = `${fontSize}px ${FONT}`;
    for (const line of lines) width = Math.max(width, measuring.measureText(line).width);
  }
  return { width: Math.ceil(width), height: Math.ceil(lines.length * fontSize * LINE_HEIGHT) };
}

// Elements are never changed, only replaced, so what is computed from one stays true as long as it lives.
const localBoxes = new WeakMap<Element, Box>();
const outerBoxes = new WeakMap<Element, Box>();

function remembered(memory: WeakMap<Element, Box>, e: Element, compute: (e: Element) => Box): Box {
  let box = memory.get(e);
  if (!box) memory.set(e, (box = compute(e)));
  return box;
}

/** The element's box in its own coordinates: before rotation, relative to (x, y). */
export const localBox = (e: Element): Box => remembered(localBoxes, e, computeLocalBox);

function computeLocalBox(e: Element): Box {
  if (isLinear(e)) return boxOfPoints(pointsOf(e));
  if (e.type === 'text') return { x: 0, y: 0, ...measureText(e.text ?? '', fontSizeOf(e)) };
  return { x: 0, y: 0, width: Math.max(1, num(e.width, DEFAULT_SIZE)), height: Math.max(1, num(e.height, DEFAULT_SIZE)) };
}

export function boxOfPoints(points: readonly (readonly [number, number])[]): Box {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const [x, y] of points) {
    left = Math.min(left, x);
    right = Math.max(right, x);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
  }
  if (left > right) return { x: 0, y: 0, width: 0, height: 0 };
  return { x: left, y: top, width: right - left, height: bottom - top };
}

export function rotate(p: Point, degrees: number): Point {
  if (degrees === 0) return p;
  const r = (degrees * Math.PI) / 180;
  const [sin, cos] = [Math.sin(r), Math.cos(r)];
  return { x: p.x * cos - p.y * sin, y: p.x * sin + p.y * cos };
}

/** From canvas coordinates into the element's own. */
export function toLocal(e: Element, p: Point): Point {
  const origin = at(e);
  return rotate({ x: p.x - origin.x, y: p.y - origin.y }, -rotationOf(e));
}

export function corners(e: Element): Point[] {
  const b = localBox(e);
  const origin = at(e);
  return [
    { x: b.x, y: b.y },
    { x: b.x + b.width, y: b.y },
    { x: b.x + b.width, y: b.y + b.height },
    { x: b.x, y: b.y + b.height },
  ].map((p) => {
    const r = rotate(p, rotationOf(e));
    return { x: origin.x + r.x, y: origin.y + r.y };
  });
}

/** The upright box around the element, in canvas coordinates. */
export const bounds = (e: Element): Box => remembered(outerBoxes, e, (e) => boxOfPoints(corners(e).map((p) => [p.x, p.y] as const)));

export function union(boxes: Iterable<Box>): Box | undefined {
  const points: [number, number][] = [];
  for (const b of boxes) points.push([b.x, b.y], [b.x + b.width, b.y + b.height]);
  return points.length ? boxOfPoints(points) : undefined;
}

export const overlaps = (a: Box, b: Box): boolean =>
  a.x <= b.x + b.width && b.x <= a.x + a.width && a.y <= b.y + b.height && b.y <= a.y + a.height;

function distanceToSegment(p: Point, a: readonly [number, number], b: readonly [number, number]): number {
  const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
  const length = dx * dx + dy * dy;
  const t = length === 0 ? 0 : Math.max(0, Math.min(1, ((p.x - a[0]) * dx + (p.y - a[1]) * dy) / length));
  return Math.hypot(p.x - a[0] - t * dx, p.y - a[1] - t * dy);
}

/** True where a click at p (canvas coordinates) means the element. `slack` in canvas units makes thin things easier to hit. */
export function hits(e: Element, p: Point, slack: number): boolean {
  const reach = slack + num(e.strokeWidth, 2) / 2;
  const outer = bounds(e);
  if (p.x < outer.x - reach || p.y < outer.y - reach || p.x > outer.x + outer.width + reach || p.y > outer.y + outer.height + reach) return false;
  const local = toLocal(e, p);
  if (isLinear(e)) {
    const points = pointsOf(e);
    return points.some((b, i) => i > 0 && distanceToSegment(local, points[i - 1]!, b) <= reach);
  }
  const b = localBox(e);
  const within = local.x >= b.x - slack && local.x <= b.x + b.width + slack && local.y >= b.y - slack && local.y <= b.y + b.height + slack;
  if (!within || e.shape !== 'ellipse') return within;
  const [rx, ry] = [b.width / 2 + slack, b.height / 2 + slack];
  return ((local.x - b.width / 2) / rx) ** 2 + ((local.y - b.height / 2) / ry) ** 2 <= 1;
}

/** The topmost element at p. */
export function topmostAt(elements: readonly Element[], p: Point, slack: number): Element | undefined {
  for (let i = elements.length - 1; i >= 0; i--) if (hits(elements[i]!, p, slack)) return elements[i];
  return undefined;
}
