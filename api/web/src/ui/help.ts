import { h } from '../util/dom';
import { openDialog } from './controls';
import { TOOLS } from './toolbar';

const KEYS: [string, [string, string][]][] = [
  ['Tools', TOOLS.map((t): [string, string] => [t.key, t.label])],
  [
    'Selection',
    [
      ['Shift + click', 'Add to or take from the selection'],
      ['Ctrl + A', 'Select everything'],
      ['Arrows', 'Move by 1, with Shift by 10'],
      ['Alt + drag', 'Leave a copy behind'],
      ['Ctrl + C / X / V', 'Copy, cut, paste – also pictures, also between rooms'],
      ['Ctrl + D', 'Duplicate'],
      ['[ and ]', 'Backward, forward; with Shift to the back, to the front'],
      ['Del', 'Delete'],
      ['Enter', 'Edit the text'],
    ],
  ],
  [
    'View and history',
    [
      ['Wheel, pinch', 'Zoom about the pointer'],
      ['Space + drag', 'Move the view'],
      ['Shift + 1', 'Zoom to fit'],
      ['Shift + 0', 'Zoom to 100 %'],
      ['Ctrl + Z', 'Undo your last change'],
      ['Ctrl + Shift + Z', 'Redo'],
      ['C', 'Chat'],
      ['G', 'Make with AI'],
      ['?', 'This help'],
    ],
  ],
];

export function openHelp(): void {
  const columns = KEYS.map(([title, rows]) =>
    h('section', {}, h('h3', { text: title }), h('dl', {}, ...rows.flatMap(([key, what]) => [h('dt', {}, h('kbd', { text: key })), h('dd', { text: what })]))),
  );
  const body = h('div', { class: 'help' }, ...columns);
  const close = h('button', { class: 'primary', type: 'button', text: 'Close' });
  const done = openDialog(h('div', { class: 'stack wide', testid: 'help-dialog' }, h('h2', { text: 'Keyboard' }), body, close), 'Keyboard help', true);
  close.addEventListener('click', done);
}
