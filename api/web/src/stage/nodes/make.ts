import type { Element } from '../../protocol';
import { ImageNode } from './image';
import type { ElementNode, NodeContext } from './node';
import { PathNode, ShapeNode, UnknownNode } from './shape';
import { NoteNode, TextNode } from './text';
import { VideoNode } from './video';

const SHAPES = new Set<unknown>(['rect', 'ellipse', 'line', 'arrow', undefined]);

export function makeNode(element: Element, context: NodeContext): ElementNode {
  switch (element.type) {
    case 'image':
      return element['isVideo'] === true ? new VideoNode(context) : new ImageNode(context);
    case 'video':
      return new VideoNode(context);
    case 'text':
      return new TextNode(context);
    case 'note':
      return new NoteNode(context);
    case 'path':
      return new PathNode(context);
    case 'shape':
      return SHAPES.has(element.shape) ? new ShapeNode(context) : new UnknownNode(context);
    default:
      return new UnknownNode(context);
  }
}
