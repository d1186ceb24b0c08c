import { Clipboard } from '../editor/clipboard';
import { Editor } from '../editor/editor';
import { bindKeyboard } from '../editor/keyboard';
import { isMedia, placeFiles } from '../editor/pictures';
import { Generations } from '../generations/generations';
import { getRoom, HttpError } from '../http';
import type { Identity } from '../identity';
import { Cursors } from '../stage/cursors';
import { bounds, union } from '../stage/geometry';
import { Scene } from '../stage/scene';
import { Stage } from '../stage/stage';
import { TransformBox } from '../stage/transform-box';
import { Viewport } from '../stage/viewport';
import { Session } from '../sync/session';
import { exposeHooks } from '../test-hooks';
import { BoxTool, LineTool, TextTool } from '../tools/draw';
import { Gestures } from '../tools/gestures';
import { HandTool } from '../tools/hand';
import { SelectTool } from '../tools/select';
import { Uploads } from '../uploads/uploads';
import { h } from '../util/dom';
import { Badges } from './badges';
import { ChatPanel } from './chat-panel';
import { generationBadges } from './generation-badges';
import { GenerationsPanel } from './generations-panel';
import { PromptBox } from './prompt-box';
import { roomHeader, roomCorner } from './room-header';
import { styleBar } from './style-bar';
import { TextEditor } from './text-editor';
import { Toasts } from './toasts';
import { toolbar } from './toolbar';
import { uploadBadges } from './upload-badges';
import { viewBar } from './view-bar';

/** Milliseconds between two tries to reach the server for a room that was not opened yet. */
const RETRY = 2_000;

/** The page at "/r/{room}". Returns what ends it. */
export function showRoom(root: HTMLElement, identity: Identity, id: string, go: (path: string) => void): () => void {
  let close: (() => void) | undefined;
  let ended = false;
  const begin = async () => {
    try {
      const room = await getRoom(identity.token, id);
      const session = await Session.open(room, identity);
      if (ended) session.close();
      else close = build(root, session, identity, go);
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      if (ended) return;
      if (error.status === 401 && (await identity.replace())) return begin();
      showProblem(root, error, go);
      if (error.status === 0 || error.status >= 500) setTimeout(() => !ended && void begin(), RETRY);
    }
  };
  root.replaceChildren(h('div', { class: 'center muted', text: 'Opening the room…' }));
  void begin();
  return () => {
    ended = true;
    close?.();
  };
}

function showProblem(root: HTMLElement, error: HttpError, go: (path: string) => void): void {
  const title = error.status === 404 ? 'There is no such room' : error.status === 403 ? 'You have no right to this room' : 'The room can not be opened now';
  const home = h('button', { class: 'primary', type: 'button', text: 'All rooms', on: { click: () => go('/') } });
  root.replaceChildren(h('div', { class: 'center', testid: 'room-problem' }, h('h1', { text: title }), h('p', { class: 'muted', text: error.message }), home));
}

function build(root: HTMLElement, session: Session, identity: Identity, go: (path: string) => void): () => void {
  const container = h('div', { class: 'stage', testid: 'stage', role: 'application', 'aria-label': 'Canvas' });
  const page = h('div', { class: 'room-page' }, container);
  root.replaceChildren(page);

  const viewport = new Viewport();
  const stage = new Stage(container, viewport);
  viewport.set(viewport.width / 2, viewport.height / 2, 1);
  const scene = new Scene(session, viewport);
  stage.addLayers(scene.layer);
  const uploads = new Uploads(session, scene.bitmaps);
  const editor = new Editor(session, viewport, scene, uploads);
  const handles = new TransformBox(editor, stage.overlay);
  const { overlay } = stage;
  const gestures = new Gestures(container, editor, overlay, {
    select: new SelectTool(editor, handles, overlay),
    hand: new HandTool(viewport),
    rect: new BoxTool(editor, overlay, 'rect'),
    ellipse: new BoxTool(editor, overlay, 'ellipse'),
    note: new BoxTool(editor, overlay, 'note'),
    arrow: new LineTool(editor, overlay, 'arrow'),
    pen: new LineTool(editor, overlay, 'pen'),
    text: new TextTool(editor),
  });
  const badges = new Badges(session, scene, viewport);
  uploadBadges(uploads, badges);
  const generations = new Generations(session);
  generationBadges(generations, editor, badges);
  const made = new GenerationsPanel(editor, generations);
  const prompt = new PromptBox(editor, generations, () => made.toggle());
  const cursors = new Cursors(session, viewport);
  const fields = h('div', { class: 'text-fields' });
  const text = new TextEditor(editor, fields);
  const clipboard = new Clipboard(editor, () => gestures.pointer);
  const chat = new ChatPanel(session);
  const toasts = new Toasts();
  const bars = h('div', { class: 'bottom' }, styleBar(editor), prompt.root, toolbar(editor, generations, prompt));
  page.append(badges.root, cursors.root, fields, roomHeader(session, go), roomCorner(session, identity, chat, toasts), viewBar(editor), bars, chat.root, made.root, toasts.root);

  session.notice.on((news) => toasts.show(news));
  const unbind = bindKeyboard(editor, gestures, { chat: () => chat.toggle(), prompt: () => prompt.toggle() });
  acceptDrops(container, editor, toasts);
  session.ready.on(once(() => viewport.fit(union(session.doc.elements().map(bounds)), false)));
  session.roomChanged.on((room) => (document.title = `${room.name || 'Untitled'} – Kanvas`));
  document.title = `${session.room.name || 'Untitled'} – Kanvas`;
  warnBeforeLoss(session);
  exposeHooks(session, editor, cursors);
  session.start();
  return () => {
    unbind();
    for (const part of [clipboard, text, gestures, handles, badges, cursors, scene, stage]) part.destroy();
    delete window.__kanvas;
    session.leave();
  };
}

function once(work: () => void): () => void {
  let done = false;
  return () => {
    if (!done) work();
    done = true;
  };
}

function acceptDrops(container: HTMLElement, editor: Editor, toasts: Toasts): void {
  container.addEventListener('dragover', (event) => event.preventDefault());
  container.addEventListener('drop', (event) => {
    event.preventDefault();
    const files = [...(event.dataTransfer?.files ?? [])];
    const media = files.filter(isMedia);
    if (!editor.canEdit) return toasts.show('You may only look at this room');
    if (media.length < files.length) toasts.show('Only pictures, MP4 and WebM can be put on the canvas');
    const rect = container.getBoundingClientRect();
    void placeFiles(editor, media, editor.viewport.toCanvas({ x: event.clientX - rect.left, y: event.clientY - rect.top }));
  });
}

/** Waiting changes survive a reload; where the browser could not keep them, it asks before it leaves. */
function warnBeforeLoss(session: Session): void {
  window.addEventListener('beforeunload', (event) => {
    if (session.outbox.size > 0 && !session.persistent) event.preventDefault();
  }, { signal: session.ended.signal });
}
