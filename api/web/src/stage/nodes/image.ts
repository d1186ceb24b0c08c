import Konva from 'konva';
import type { Element } from '../../protocol';
import { localBox } from '../geometry';
import { isDark } from '../theme';
import { ElementNode } from './node';

const fraction = (value: unknown, fallback: number): number => (typeof value === 'number' && value >= 0 && value <= 1 ? value : fallback);

/** A picture. What it shows stays until the next picture is decoded, so a local picture that becomes an asset never flickers. */
export class ImageNode extends ElementNode {
  private readonly picture = new Konva.Image({ image: undefined, listening: false });
  private readonly frame = new Konva.Rect({ listening: false, cornerRadius: 6 });
  private readonly label = new Konva.Text({ listening: false, fontSize: 14, align: 'center', verticalAlign: 'middle' });
  private src: string | undefined;
  private shownSrc: string | undefined;

  protected draw(element: Element): void {
    if (this.frame.getParent() === null) this.group.add(this.frame, this.label, this.picture);
    this.want(typeof element.src === 'string' ? element.src : undefined);
    const { width, height } = localBox(element);
    const image = this.current();
    this.picture.visible(image !== undefined);
    this.frame.visible(image === undefined);
    this.label.visible(image === undefined);
    if (image) {
      const [w, h] = [image.naturalWidth, image.naturalHeight];
      const crop = { x: fraction(element['cropX'], 0) * w, y: fraction(element['cropY'], 0) * h, width: fraction(element['cropWidth'], 1) * w, height: fraction(element['cropHeight'], 1) * h };
      this.picture.setAttrs({ image, width, height, crop });
    } else {
      this.frame.setAttrs({ width, height, fill: isDark() ? '#26262e' : '#eceef3', stroke: isDark() ? '#3b3b46' : '#d5d8e0', strokeWidth: 1 });
      this.label.setAttrs({ width, height, fill: isDark() ? '#9a9aa8' : '#767b8a', text: this.message() });
    }
  }

  override destroy(): void {
    this.want(undefined);
    if (this.shownSrc !== undefined) this.context.bitmaps.release(this.shownSrc);
    super.destroy();
  }

  private want(src: string | undefined): void {
    if (src === this.src) return;
    if (this.src !== undefined) this.context.bitmaps.release(this.src);
    this.src = src;
    if (src !== undefined) this.context.bitmaps.acquire(src);
  }

  private current(): HTMLImageElement | undefined {
    const { bitmaps } = this.context;
    if (this.src !== undefined && this.src !== this.shownSrc && bitmaps.image(this.src)) {
      if (this.shownSrc !== undefined) bitmaps.release(this.shownSrc);
      this.shownSrc = this.src;
      bitmaps.acquire(this.src);
    }
    return this.shownSrc === undefined ? undefined : bitmaps.image(this.shownSrc);
  }

  private message(): string {
    if (this.src === undefined) return 'picture';
    return this.context.bitmaps.failure(this.src) ?? 'loading…';
  }
}
