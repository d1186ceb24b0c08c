import './styles/base.css';
import './styles/list.css';
import './styles/room.css';
import { Identity } from './identity';
import { askName } from './ui/name-dialog';
import { showRoomList } from './ui/room-list';
import { showInvite } from './ui/invite-page';
import { showRoom } from './ui/room-page';

const root = document.getElementById('app')!;
let leave: (() => void) | undefined;

function go(path: string): void {
  history.pushState(null, '', path);
  void show();
}

async function show(): Promise<void> {
  leave?.();
  leave = undefined;
  const identity = Identity.current() ?? (await askName());
  await identity.renew();
  if (location.pathname === '/invite') {
    showInvite(root, identity, location.hash.slice(1), (path) => {
      history.replaceState(null, '', path); // the code is used: it stays in no history
      void show();
    });
    return;
  }
  const room = /^\/r\/([^/]+)\/?$/.exec(location.pathname)?.[1];
  leave = room === undefined ? showRoomList(root, identity, go) : showRoom(root, identity, decodeURIComponent(room), go);
}

window.addEventListener('popstate', () => void show());
void show();
