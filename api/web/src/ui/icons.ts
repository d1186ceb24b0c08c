// Drawn for this page: 20 × 20, stroked with the text's colour.
const PATHS = {
  select: 'M4 3l5 13 2-5.5L16.500 8.500z',
  hand: 'M6.500 10V5.200a1.200 1.200 0 0 1 2.400 0V9m0-.5V3.700a1.200 1.200 0 0 1 2.400 0V9m0-.3V5a1.200 1.200 0 0 1 2.400 0v6.500c0 3.300-1.700 5.500-4.600 5.500-2.400 0-3.500-1.200-4.600-3.300L3 10.800c-.4-1.300 1.200-2 2-.9l1.500 2',
  rect: 'M3.500 5.500a1.500 1.500 0 0 1 1.500-1.500h10a1.500 1.500 0 0 1 1.500 1.500v9a1.500 1.500 0 0 1-1.500 1.500h-10a1.500 1.500 0 0 1-1.500-1.500z',
  ellipse: 'M10 3.500a6.500 6.500 0 1 1 0 13a6.500 6.500 0 0 1 0-13z',
  arrow: 'M4 16L16 4M8.500 4H16v7.500',
  pen: 'M3.500 16.500l1-4L13.500 3.500l3 3L7.500 15.500zM11.500 5.500l3 3',
  text: 'M4 6V4h12v2M10 4v12M7.500 16h5',
  note: 'M4 4h12v8l-4 4H4zM16 12h-4v4',
  image: 'M3.500 4.500h13v11h-13zM3.500 13l3.500-3.500 3 3L13 9l3.500 3.500M7 7.500h.01',
  undo: 'M7.500 4.500L4 8l3.500 3.500M4 8h7.500a4 4 0 0 1 0 8H8',
  redo: 'M12.500 4.500L16 8l-3.500 3.500M16 8H8.500a4 4 0 0 0 0 8H12',
  chat: 'M4 4.500h12v9H9.500L6 16.500v-3H4z',
  share: 'M8.500 11.500l3-3M7 9l-2.200 2.200a2.830 2.830 0 0 0 4 4L11 13M9 7l2.200-2.200a2.830 2.830 0 0 1 4 4L13 11',
  close: 'M5 5l10 10M15 5L5 15',
  plus: 'M10 4v12M4 10h12',
  minus: 'M4 10h12',
  fit: 'M3.500 7V3.500H7M13 3.500h3.500V7M16.500 13v3.500H13M7 16.500H3.500V13',
  help: 'M7.500 7.500a2.500 2.500 0 1 1 3.600 2.200c-.8.4-1.100.9-1.100 1.800M10 14.500h.01',
  front: 'M3.500 3.500h8v8h-8zM14 8.500h2.500v8h-8V14',
  back: 'M8.500 8.500h8v8h-8zM6 11.500H3.500v-8h8V6',
  forward: 'M10 15V4.500M5.500 9L10 4.500 14.500 9',
  backward: 'M10 5v10.500M5.500 11l4.500 4.500 4.500-4.500',
  duplicate: 'M7 7h9.500v9.500H7zM4 13H3.500V3.500H13V4',
  trash: 'M4 5.500h12M8 5.500V3.500h4v2M5.500 5.500l.8 11h7.400l.8-11M8.500 8.500v5M11.500 8.500v5',
  send: 'M3.500 10l13-6-4.500 12.500L9.500 11z',
  people: 'M7.500 9.500a2.750 2.750 0 1 0 0-5.500 2.750 2.750 0 0 0 0 5.500zM2.500 16c0-2.800 2-4.500 5-4.500s5 1.700 5 4.500M13 4.300a2.750 2.750 0 0 1 0 5M14.500 11.700c2 .5 3.200 2 3.200 4.300',
  home: 'M3.500 9.500L10 4l6.500 5.500M5.500 8.500V16h9V8.500',
  lock: 'M5 9h10v7.500H5zM7 9V6.500a3 3 0 0 1 6 0V9',
  globe: 'M10 3.500a6.500 6.500 0 1 1 0 13a6.500 6.500 0 0 1 0-13zM3.500 10h13M10 3.500c2 2 2.700 4 2.700 6.500S12 14.500 10 16.500C8 14.500 7.300 12.500 7.300 10S8 5.500 10 3.500z',
} as const;

export type IconName = keyof typeof PATHS;

export function icon(name: IconName): SVGSVGElement {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 20 20');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', PATHS[name]);
  svg.append(path);
  return svg;
}
