// The last resort of a page that does not start: it must not need any of what may be broken.

export const DATABASE = "chat-outbox";

/** Removes everything that the browser keeps of this page; for a page that does not start. */
export async function clearEverything(): Promise<void> {
  for (const open of [() => localStorage, () => sessionStorage]) {
    try {
      open().clear();
    } catch {
      // Refused: it holds nothing.
    }
  }
  await new Promise<void>((resolve) => {
    try {
      const request = indexedDB.deleteDatabase(DATABASE);
      request.onsuccess = request.onerror = request.onblocked = () => resolve();
    } catch {
      resolve();
    }
  });
}
