import type { Upload, Uploads } from '../uploads/uploads';
import { bytes } from '../util/amounts';
import type { BadgeState, Badges } from './badges';

/** Shows how far each file is, with a way to cancel it, and why one failed. */
export function uploadBadges(uploads: Uploads, badges: Badges): void {
  uploads.changed.on((id) => {
    const upload = uploads.get(id);
    badges.set(id, upload && stateOf(upload, uploads));
  });
}

function stateOf(upload: Upload, uploads: Uploads): BadgeState {
  const cancel = (label: string) => ({ label, testid: 'upload-cancel', icon: 'close' as const, run: () => uploads.cancel(upload.id) });
  switch (upload.phase) {
    case 'failed':
      return {
        kind: 'failed',
        text: upload.problem ?? 'failed',
        actions: [{ label: 'Try again', testid: 'upload-retry', run: () => uploads.retry(upload.id) }, { label: 'Remove', testid: 'upload-cancel', run: () => uploads.cancel(upload.id) }],
      };
    case 'checking':
      return { kind: 'busy', text: 'checking…', actions: [cancel('Cancel')] };
    case 'waiting':
      return { kind: 'busy', progress: upload.sent / upload.size, text: upload.problem === undefined ? 'waiting…' : `waiting: ${upload.problem}`, actions: [cancel('Cancel')] };
    case 'sending':
      return { kind: 'busy', progress: upload.sent / upload.size, text: `${Math.floor((100 * upload.sent) / upload.size)} % of ${bytes(upload.size)}`, actions: [cancel('Cancel')] };
  }
}
