import Konva from 'konva';
import type { Viewport } from './viewport';

/** Canvas units between grid dots at 100 %. */
const GRID = 24;

/** The Konva stage: a layer for elements and one, in screen coordinates, for handles. The dot grid is the container's background. */
export class Stage {
  readonly konva: Konva.Stage;
  readonly overlay = new Konva.Layer();
  private readonly observer: ResizeObserver;
  private readonly off: () => void;

  constructor(readonly container: HTMLDivElement, private readonly viewport: Viewport) {
    this.konva = new Konva.Stage({ container, width: container.clientWidth, height: container.clientHeight });
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(container);
    this.off = viewport.changed.on(() => this.grid());
    this.resize();
  }

  addLayers(elements: Konva.Layer): void {
    this.konva.add(elements, this.overlay);
  }

  destroy(): void {
    this.off();
    this.observer.disconnect();
    this.konva.destroy();
  }

  private resize(): void {
    const { clientWidth, clientHeight } = this.container;
    this.konva.size({ width: clientWidth, height: clientHeight });
    this.viewport.resize(clientWidth, clientHeight);
  }

  private grid(): void {
    const { x, y, scale } = this.viewport;
    let step = GRID * scale;
    while (step < 16) step *= 4;
    while (step > 96) step /= 4;
    this.container.style.backgroundSize = `${step}px ${step}px`;
    this.container.style.backgroundPosition = `${x - step / 2}px ${y - step / 2}px`;
  }
}
