// Copies a file the way Node's documentation teaches backpressure, as a rival for scripts/compare.sh:
// write() returning false pauses the reader, 'drain' resumes it. Both high-water marks are 5 MiB.
//
//     node stream-copy.mjs SOURCE TARGET

import { createReadStream, createWriteStream } from 'node:fs';

const HIGH_WATER_BYTES = 5 * 1024 * 1024;

const [source, target, ...rest] = process.argv.slice(2);
if (source === undefined || target === undefined || rest.length > 0) {
  console.error('usage: node stream-copy.mjs SOURCE TARGET');
  process.exit(2);
}

const fail = (error) => {
  console.error(`stream-copy: ${error.message}`);
  process.exit(1);
};

const reader = createReadStream(source, { highWaterMark: HIGH_WATER_BYTES });
const writer = createWriteStream(target, { highWaterMark: HIGH_WATER_BYTES });

reader.on('error', fail);
writer.on('error', fail);
reader.on('data', (chunk) => {
  if (!writer.write(chunk)) reader.pause();
});
writer.on('drain', () => reader.resume());
reader.on('end', () => writer.end());
