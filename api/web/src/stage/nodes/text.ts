import Konva from 'konva';
import type { Element } from '../../protocol';
import { FONT, fontSizeOf, LINE_HEIGHT, localBox } from '../geometry';
import { ink } from '../theme';
import { ElementNode } from './node';

export class TextNode extends ElementNode {
  private readonly text = new Konva.Text({ fontFamily: FONT, lineHeight: LINE_HEIGHT, wrap: 'none', listening: false });

  protected draw(element: Element): void {
    if (this.text.getParent() === null) this.group.add(this.text);
    this.text.setAttrs({ text: element.text ?? '', fontSize: fontSizeOf(element), fill: ink(element.fill) });
  }
}

/** A sticky note: text on coloured paper, as large as fits. */
export class NoteNode extends ElementNode {
  private readonly paper = new Konva.Rect({
    cornerRadius: 6, listening: false,
    shadowColor: '#000', shadowBlur: 14, shadowOpacity: 0.16, shadowOffsetY: 5, shadowForStrokeEnabled: false,
  });
  private readonly text = new Konva.Text({ fontFamily: FONT, lineHeight: LINE_HEIGHT, align: 'center', verticalAlign: 'middle', listening: false, fill: '#2b2a26' });
  private fitted = '';

  protected draw(element: Element): void {
    if (this.paper.getParent() === null) this.group.add(this.paper, this.text);
    const { width, height } = localBox(element);
    const pad = Math.min(16, width / 8);
    this.paper.setAttrs({ width, height, fill: element.fill || '#ffe08a' });
    this.text.setAttrs({ x: pad, y: pad, width: width - 2 * pad, height: height - 2 * pad, text: element.text ?? '' });
    this.fit(fontSizeOf(element), height - 2 * pad);
  }

  private fit(wanted: number, room: number): void {
    const key = `${this.text.text()}|${this.text.width()}|${room}|${wanted}`;
    if (key === this.fitted) return;
    this.fitted = key;
    this.text.height(undefined as unknown as number); // auto, to measure
    let size = wanted;
    this.text.fontSize(size);
    while (size > 8 && this.text.height() > room) this.text.fontSize((size -= 2));
    this.text.height(room);
  }
}
