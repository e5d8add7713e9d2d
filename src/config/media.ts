/** The section "Media": files that users send. */
import { key, section } from './key.ts';
import { boolean, duration, integer, list, mapOf, object, oneOf, orNull, size, text } from './kinds.ts';

const thumbnail = object({
  width: { yaml: 'width', kind: integer(1, 4096), help: '' },
  height: { yaml: 'height', kind: integer(1, 4096), help: '' },
  method: { yaml: 'method', kind: oneOf('crop', 'scale'), help: '' },
});

const uploadLimit = object({
  periodMs: { yaml: 'time_period', kind: duration, help: '' },
  bytesMax: { yaml: 'max_size', kind: size, help: '' },
});

const MIB = 1024 * 1024;

export const mediaSection = section('Media', 'Files that users send.', {
  isEnabled: key('enable_media_repo', boolean, true, 'Serve media.'),
  requireAuth: key(
    'enable_authenticated_media',
    boolean,
    true,
    'Media uploaded from now on is shown only to users who are logged in.',
  ),
  keepsLocalFiles: key('enable_local_media_storage', boolean, true, 'Keep files on the local disk.'),
  storePath: key('media_store_path', text, 'media_store', 'Directory of the files.'),
  pendingUploadsMax: key('max_pending_media_uploads', integer(), 5, 'Media IDs a user may have reserved.'),
  unusedExpirationMs: key('unused_expiration_time', duration, 86_400_000, 'How long a reserved ID is kept.'),
  uploadBytesMax: key('max_upload_size', size, 50 * MIB, 'Largest file.'),
  uploadLimits: key('media_upload_limits', list(uploadLimit), [], 'How much a user may upload in a time.'),
  imagePixelsMax: key('max_image_pixels', size, 32 * MIB, 'No thumbnails are made of larger images.'),
  remoteDownloadBurstBytes: key(
    'remote_media_download_burst_count',
    size,
    500 * MIB,
    'Bytes of remote media a client may cause at once.',
  ),
  remoteDownloadBytesPerSecond: key(
    'remote_media_download_per_second',
    size,
    87 * 1024,
    'And per second in the long run.',
  ),
  blockedOrigins: key('prevent_media_downloads_from', list(text), [], 'Servers whose media is not fetched.'),
  dynamicThumbnails: key('dynamic_thumbnails', boolean, false, 'Make thumbnails of exactly the size asked for.'),
  thumbnailSizes: key(
    'thumbnail_sizes',
    list(thumbnail),
    [
      { width: 32, height: 32, method: 'crop' as const },
      { width: 96, height: 96, method: 'crop' as const },
      { width: 320, height: 240, method: 'scale' as const },
      { width: 640, height: 480, method: 'scale' as const },
      { width: 800, height: 600, method: 'scale' as const },
    ],
    'Thumbnails made of each image.',
  ),
  localLifetimeMs: key(
    'media_retention.local_media_lifetime',
    orNull(duration),
    null,
    'Files of our users are deleted when not looked at for this long; null: never.',
  ),
  remoteLifetimeMs: key(
    'media_retention.remote_media_lifetime',
    orNull(duration),
    null,
    'The same for copies of files of other servers.',
  ),
  urlPreviews: key('url_preview_enabled', boolean, false, 'Preview links. Needs url_preview_ip_range_blacklist.'),
  urlPreviewBlockedRanges: key(
    'url_preview_ip_range_blacklist',
    orNull(list(text)),
    null,
    'Address ranges that previews never reach.',
  ),
  urlPreviewAllowedRanges: key('url_preview_ip_range_whitelist', list(text), [], 'Exceptions to it.'),
  urlPreviewBlockedUrls: key(
    'url_preview_url_blacklist',
    list(mapOf(text)),
    [],
    'URLs without preview: patterns of their parts.',
  ),
  spiderBytesMax: key('max_spider_size', size, 10 * MIB, 'Largest page that is read for a preview.'),
  urlPreviewLanguages: key('url_preview_accept_language', list(text), ['en'], 'Languages asked for in previews.'),
});
