import type { Element, Members } from '../protocol';

export const STROKES = ['#1e1e24', '#e5484d', '#f08c00', '#2f9e44', '#1c7ed6', '#5b5bf0', '#c2409e'] as const;
export const FILLS = ['', '#ffffff', '#ffc9c9', '#ffe08a', '#b2f2bb', '#a5d8ff', '#d0bfff', '#fcc2e3'] as const;
export const WIDTHS = [2, 4, 8] as const;
export const FONT_SIZES = [16, 24, 36, 64] as const;

/** What new elements look like; changing a selection's look changes this too. */
export interface Style {
  stroke: string;
  fill: string;
  strokeWidth: number;
  fontSize: number;
}

export const defaultStyle = (): Style => ({ stroke: '#1e1e24', fill: '#a5d8ff', strokeWidth: 2, fontSize: 24 });

/** Which of the style's members an element has use for, under the names that it stores them by. */
export function styleMembers(e: Element, change: Partial<Style>): Members {
  const set: Members = {};
  const linear = e.type === 'path' || e.shape === 'line' || e.shape === 'arrow';
  if (change.stroke !== undefined) {
    if (e.type === 'text') set['fill'] = change.stroke;
    else if (e.type === 'shape' || e.type === 'path') set['stroke'] = change.stroke;
  }
  if (change.fill !== undefined && ((e.type === 'shape' && !linear) || (e.type === 'note' && change.fill !== ''))) set['fill'] = change.fill;
  if (change.strokeWidth !== undefined && (e.type === 'shape' || e.type === 'path')) set['strokeWidth'] = change.strokeWidth;
  if (change.fontSize !== undefined && (e.type === 'text' || e.type === 'note')) set['fontSize'] = change.fontSize;
  return set;
}
