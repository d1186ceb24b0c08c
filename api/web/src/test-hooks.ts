import type { Editor } from './editor/editor';
import type { Cursors } from './stage/cursors';
import type { Session } from './sync/session';

/** What tests (and people in the console) may look at. Nothing here changes anything. */
export interface Hooks {
  readonly room: string;
  readonly user: string;
  readonly client: string;
  readonly role: string;
  readonly revision: number;
  readonly savedRevision: number;
  readonly status: { kind: string; text: string };
  readonly socket: string;
  readonly waiting: number;
  readonly viewport: { x: number; y: number; scale: number };
  readonly selection: string[];
  /** As shown, in paint order, previews included. */
  elements(): unknown[];
  /** Whether an element's picture is decoded and drawn. */
  pictureShown(src: string): boolean;
  /** How sharp a picture is held: the step, the pixels of its longer side, and whether there is a blur of it. */
  pictureState(src: string): { level: number; pixels: number; blur: boolean };
  readonly pictures: { bytes: number; pictures: number; waiting: number };
  readonly uploads: unknown[];
  cursors(): Record<string, { x: number; y: number; name: string }>;
  toScreen(x: number, y: number): { x: number; y: number };
}

declare global {
  interface Window {
    __kanvas?: Hooks;
  }
}

export function exposeHooks(session: Session, editor: Editor, cursors: Cursors): void {
  window.__kanvas = {
    get room() { return session.room.id; },
    get user() { return session.identity.user.id; },
    get client() { return session.client; },
    get role() { return session.role; },
    get revision() { return session.doc.revision; },
    get savedRevision() { return session.saver.savedRevision; },
    get status() { return session.status; },
    get socket() { return session.connection.phase; },
    get waiting() { return session.outbox.size; },
    get viewport() {
      const { x, y, scale } = editor.viewport;
      return { x, y, scale };
    },
    get selection() { return editor.selection.list(); },
    elements: () => session.doc.elements().map((e) => structuredClone(session.shown(e.id))),
    pictureShown: (src) => editor.scene.bitmaps.has(src),
    pictureState: (src) => editor.scene.bitmaps.state(src),
    get pictures() { return editor.scene.bitmaps.held; },
    get uploads() { return editor.uploads.all().map(({ id, name, size, sent, phase, problem }) => ({ id, name, size, sent, phase, problem })); },
    cursors: () => cursors.positions(),
    toScreen: (x, y) => editor.viewport.toScreen({ x, y }),
  };
}
