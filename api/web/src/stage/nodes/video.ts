import Konva from 'konva';
import type { Element } from '../../protocol';
import { isOurs } from '../bitmaps';
import { localBox } from '../geometry';
import { ElementNode, type NodeContext } from './node';

/** A video: its first frame with a play mark; a double click plays and pauses it, for oneself. */
export class VideoNode extends ElementNode {
  private readonly video = document.createElement('video');
  private readonly picture = new Konva.Image({ image: undefined, listening: false });
  private readonly frame = new Konva.Rect({ fill: '#15151a', cornerRadius: 6, listening: false });
  private readonly mark = new Konva.Group({ listening: false });
  private src: string | undefined;
  private blobUrl: string | undefined;
  private animation: Konva.Animation | undefined;

  constructor(context: NodeContext) {
    super(context);
    Object.assign(this.video, { muted: true, loop: true, playsInline: true, preload: 'auto' });
    this.video.addEventListener('loadeddata', () => context.redraw());
    this.video.addEventListener('seeked', () => context.redraw());
    this.mark.add(
      new Konva.Circle({ radius: 26, fill: 'rgba(0,0,0,0.55)', listening: false }),
      new Konva.RegularPolygon({ sides: 3, radius: 12, rotation: 90, x: -2, fill: '#fff', listening: false }),
    );
    this.group.add(this.frame, this.picture, this.mark);
    this.picture.image(this.video);
  }

  toggle(): void {
    if (!this.video.paused) {
      this.video.pause();
      this.animation?.stop();
    } else {
      void this.video.play();
      this.animation ??= new Konva.Animation(() => undefined, this.group.getLayer());
      this.animation.start();
    }
    this.mark.visible(this.video.paused);
    this.context.redraw();
  }

  protected draw(element: Element): void {
    const { width, height } = localBox(element);
    this.frame.setAttrs({ width, height });
    this.picture.size({ width, height });
    this.mark.setAttrs({ x: width / 2, y: height / 2 });
    if (element.src !== this.src) void this.load(element.src);
  }

  override destroy(): void {
    this.animation?.stop();
    this.video.pause();
    this.video.removeAttribute('src');
    if (this.blobUrl) URL.revokeObjectURL(this.blobUrl);
    super.destroy();
  }

  private async load(src: string | undefined): Promise<void> {
    this.src = src;
    if (src === undefined || src === '') return;
    const { bitmaps } = this.context;
    if (!isOurs(src) && !bitmaps.isLocal(src)) {
      this.video.src = src;
      return;
    }
    try {
      const url = URL.createObjectURL(await bitmaps.bytesOf(src));
      if (this.blobUrl) URL.revokeObjectURL(this.blobUrl);
      this.blobUrl = url;
      if (this.src === src) this.video.src = url;
    } catch (error) {
      console.error('kanvas: a video can not be loaded', error);
    }
  }
}
