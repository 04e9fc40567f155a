/**
 * Turns what a drop carries into a flat list of files; a folder gives the files directly in it,
 * and its name to each as `folder`.
 * To be called during the drop event: browsers empty the DataTransfer afterwards.
 */

/** More than this in one folder is surely not a model; the rest is left out. */
const FOLDER_FILES_MAX = 256;

/** Resolves to an array of File for a drop's DataTransfer. */
export async function filesOfDrop(transfer) {
  const plain = [...transfer.files];
  const folders = [...transfer.items]
    .map((item) => (item.kind === "file" ? item.webkitGetAsEntry?.() : null))
    .filter((entry) => entry?.isDirectory);
  if (folders.length === 0) return plain;
  const names = new Set(folders.map((folder) => folder.name));
  const nested = await Promise.all(folders.map(filesOfFolder));
  return [...plain.filter((file) => !names.has(file.name)), ...nested.flat()];
}

/** `readEntries` hands out batches until an empty one. */
async function filesOfFolder(folder) {
  const reader = folder.createReader();
  const files = [];
  while (files.length < FOLDER_FILES_MAX) {
    const batch = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (batch.length === 0) break;
    for (const entry of batch.filter((one) => one.isFile && !one.name.startsWith("."))) {
      const file = await new Promise((done, failed) => entry.file(done, failed));
      files.push(Object.assign(file, { folder: folder.name }));
    }
  }
  return files;
}
