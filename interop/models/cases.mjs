// Runs the cases of a client, and says of each on a line how it went: `ok NAME` or `not ok NAME: why`.

// The gateway as a laptop sees it.
export const url = process.env.MARU_URL;
// A model that is real, by the household's name, and one that is scripted, behind each kind of provider.
export const real = "maru";
export const scripted = "scripted/all";
export const scriptedOllama = "home/all";
// A word on which the scripted model says words until whoever asked is gone.
export const forever = "forever";
// A word on which it says nothing for longer than the gateway waits before it begins to answer.
export const slowly = "slowly";
// A picture of one dot.
export const png = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==",
  "base64",
);

export function expect(condition, what) {
  if (!condition) throw new Error(typeof what === "string" ? what : JSON.stringify(what));
}

export function same(found, expected) {
  expect(JSON.stringify(found) === JSON.stringify(expected), `${JSON.stringify(found)}`);
}

// The error of this class that the promise has to fail with.
export async function refused(kind, promise) {
  try {
    await promise;
  } catch (error) {
    if (error instanceof kind) return error;
    throw error;
  }
  throw new Error(`no ${kind.name} was thrown`);
}

// Runs all of them, named by their keys; the exit status is 1 if one failed.
export async function main(cases) {
  for (const [name, run] of Object.entries(cases)) {
    try {
      await run();
      console.log(`ok ${name}`);
    } catch (error) {
      process.exitCode = 1;
      console.error(error);
      console.log(`not ok ${name}: ${String(error).replaceAll("\n", " ")}`);
    }
  }
}
