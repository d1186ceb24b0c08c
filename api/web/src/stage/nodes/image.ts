import Konva from 'konva';
import type { Element } from '../../protocol';
import { localBox } from '../geometry';
import { isDark } from '../theme';
import { sizeOf, type Picture } from '../levels';
import { ElementNode } from './node';

const fraction = (value: unknown, fallback: number): number => (typeof value === 'number' && value >= 0 && value <= 1 ? value : fallback);

/** A picture. What it shows stays until a better one, or the next picture, is decoded: nothing flickers. */
export class ImageNode extends ElementNode {
  private readonly picture = new Konva.Image({ image: undefined, listening: false });
  private blank: { frame: Konva.Rect; label: Konva.Text } | undefined;
  private element: Element | undefined;
  private src: string | undefined;
  /** Of the picture before, while the next one is on its way. */
  private before: string | undefined;
  private drawn: Picture | undefined;

  protected draw(element: Element): void {
    if (this.picture.getParent() === null) this.group.add(this.picture);
    const src = typeof element.src === 'string' && element.src !== '' ? element.src : undefined;
    if (src !== this.src) {
      if (this.drawn && src !== undefined && !this.context.bitmaps.has(src)) this.before ??= this.src;
      this.src = src;
    }
    this.element = element;
    this.drawn = undefined; // its size or crop may be another, or the theme
    this.blank?.frame.visible(false);
  }

  /** What has to be there for it, and with how many pixels on the longer side where one unit of the canvas is `scale` pixels. */
  wants(scale: number): { sources: string[]; pixels: number } {
    const { element } = this;
    if (!element) return { sources: [], pixels: 0 };
    const { width, height } = localBox(element);
    const cut = Math.max(0.01, Math.min(fraction(element['cropWidth'], 1), fraction(element['cropHeight'], 1)));
    return { sources: [this.src, this.before].filter((s) => s !== undefined), pixels: (Math.max(width, height) * scale) / cut };
  }

  /** Takes the best picture there is. Cheap where that is the one it has. */
  paint(): void {
    const { element } = this;
    if (!element) return;
    const { bitmaps } = this.context;
    if (this.before !== undefined && this.src !== undefined && bitmaps.has(this.src)) this.before = undefined;
    const picture = (this.before !== undefined && bitmaps.picture(this.before)) || (this.src !== undefined ? bitmaps.picture(this.src) : undefined);
    if (picture ? picture === this.drawn : this.blank?.label.text() === this.message() && this.blank.frame.visible()) return;
    this.drawn = picture;
    const { width, height } = localBox(element);
    this.picture.visible(picture !== undefined);
    if (picture) {
      const size = sizeOf(picture);
      const crop = {
        x: fraction(element['cropX'], 0) * size.width, y: fraction(element['cropY'], 0) * size.height,
        width: fraction(element['cropWidth'], 1) * size.width, height: fraction(element['cropHeight'], 1) * size.height,
      };
      this.picture.setAttrs({ image: picture, width, height, crop });
      this.showBlank(false);
    } else this.showBlank(true, width, height);
  }

  /** Holds no picture any more: it may be freed. */
  forget(): void {
    if (!this.drawn) return;
    this.drawn = undefined;
    this.picture.image(undefined);
  }

  private showBlank(visible: boolean, width = 0, height = 0): void {
    if (!visible && !this.blank) return;
    if (!this.blank) {
      this.blank = {
        frame: new Konva.Rect({ listening: false, cornerRadius: 6, strokeWidth: 1 }),
        label: new Konva.Text({ listening: false, fontSize: 14, align: 'center', verticalAlign: 'middle' }),
      };
      this.group.add(this.blank.frame, this.blank.label);
    }
    const { frame, label } = this.blank;
    frame.setAttrs({ visible, width, height, fill: isDark() ? '#26262e' : '#eceef3', stroke: isDark() ? '#3b3b46' : '#d5d8e0' });
    label.setAttrs({ visible, width, height, fill: isDark() ? '#9a9aa8' : '#767b8a', text: this.message() });
  }

  private message(): string {
    if (this.src === undefined) return this.element?.['generation'] === undefined ? 'picture' : '';
    return this.context.bitmaps.failure(this.src) ?? 'loading…';
  }
}
