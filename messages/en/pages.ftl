# The pages that the coordinator, telmeet and the agent show to browsers; HTML.

# The button that shows the page in this language.
page-language = English

page-join =
    <h1>Join a private network</h1>
    <p>This invitation is for one device. Whoever has it can join: do not pass it on.</p>
    <noscript><p class="warning">This page shows the key with a script, and scripts are off. The key is what follows the last dot
    in the address of this page; it begins with <code>marukey-</code>.</p></noscript>
    <div class="broken" hidden><p class="warning">The invitation is not whole: open all of the link that you were sent, or ask
    for another.</p></div>
    <div class="whole" hidden>
    <dl>
    <dt>Address</dt>
    <dd><code class="address">{ $address }</code> <button type="button" data-done="Copied">Copy</button></dd>
    <dt>Key</dt>
    <dd><code class="key"></code> <button type="button" data-done="Copied">Copy</button></dd>
    </dl>
    <p>Everything on this page stays in your browser; the key is sent to nobody until you give it to the app.</p>
    </div>
    <h2>Steps</h2>
    <details class="android"><summary>Android</summary>
    <ol>
    <li>Install <a rel="noreferrer" href="https://play.google.com/store/apps/details?id=com.tailscale.ipn">Tailscale from Google
    Play</a> or <a rel="noreferrer" href="https://f-droid.org/packages/com.tailscale.ipn/">from F-Droid</a>, and open it.</li>
    <li>Open the settings at the top right, tap <b>Accounts</b>, then ⋮ and <b>Use an alternate server</b>, and paste the address.</li>
    <li>If the app opens a page with a short code, paste the key there. Otherwise go back to ⋮, tap <b>Use an auth key</b> and
    paste the key.</li>
    </ol></details>
    <details class="iphone"><summary>iPhone, iPad</summary>
    <ol>
    <li>Install <a rel="noreferrer" href="https://apps.apple.com/app/tailscale/id1470499037">Tailscale from the App Store</a>, and
    open it. If it is logged in somewhere, log out.</li>
    <li>Tap the person at the top right, then <b>Log in</b>, then ⋯ and <b>Use a custom coordination server</b>. Paste the address
    and tap <b>Log in</b>.</li>
    <li>A page with a short code opens: paste the key there.</li>
    </ol></details>
    <details class="macos"><summary>macOS</summary>
    <ol>
    <li>Install <a rel="noreferrer" href="https://tailscale.com/download/mac">Tailscale for macOS</a>, and open it.</li>
    <li>Hold Option and click its icon in the menu bar. Under <b>Debug</b>, <b>Custom Login Server</b>, choose <b>Add
    Account…</b> and paste the address.</li>
    <li>A page with a short code opens: paste the key there.</li>
    </ol>
    <p>Or in a terminal:</p>
    <pre>tailscale login --login-server <span class="address">{ $address }</span> --auth-key <span class="key">KEY</span></pre>
    <button type="button" data-done="Copied">Copy</button></details>
    <details class="windows"><summary>Windows</summary>
    <ol>
    <li>Install <a rel="noreferrer" href="https://tailscale.com/download/windows">Tailscale for Windows</a>.</li>
    <li>Open PowerShell and run:</li>
    </ol>
    <pre>tailscale login --login-server <span class="address">{ $address }</span> --auth-key <span class="key">KEY</span></pre>
    <button type="button" data-done="Copied">Copy</button></details>
    <details class="linux"><summary>Linux</summary>
    <p>With Maru, whose <code>maru chat</code> seals what you ask up to the AI:</p>
    <pre>sudo maru join -</pre>
    <button type="button" data-done="Copied">Copy</button>
    <p>Then paste the whole invitation:</p>
    <pre class="invitation">the address of this page, all of it</pre>
    <button type="button" data-done="Copied">Copy</button>
    <p>With Tailscale, where Maru is not:</p>
    <pre>sudo tailscale login --login-server <span class="address">{ $address }</span> --auth-key <span class="key">KEY</span></pre>
    <button type="button" data-done="Copied">Copy</button></details>
    <p>The device may then wait until the admin approves it; the app goes on by itself.</p>

page-join-plain =
    <h1>Maru</h1>
    <p>An invitation to this network is a text that begins with <code>maru://</code>. On the device that should join, install Maru and run:</p>
    <pre>sudo maru join -</pre>
    <p>Then paste the invitation there. Whoever has it can join: do not pass it on.</p>

page-waiting =
    <h1>This device waits</h1>
    <p>Its code is</p>
    <p class="code"><b>{ $code }</b></p>
    <p class="warning">Go on only if you opened this page yourself, on the device that should join or from its app. A link to it
    that somebody sent you would let in that person's device.</p>
    <h2>With an invitation</h2>
    <form method="post">
    <p><label>Paste the invitation, or the key in it:<br>
    <textarea name="invitation" rows="4" maxlength="2048" required autocomplete="off" autocapitalize="off" spellcheck="false"></textarea></label></p>
    <p><button>Join</button></p>
    </form>
    <h2>Without one</h2>
    <p>Tell the admin of the network the code, who runs:</p>
    <pre>sudo maru device approve { $code } --user NAME</pre>

page-waiting-plain =
    <h1>This device waits</h1>
    <p>Its code is</p>
    <p class="code"><b>{ $code }</b></p>
    <p>Tell it to the admin of the network, who runs:</p>
    <pre>sudo maru device approve { $code } --user NAME</pre>
    <p>Do not give an invitation to this page: it came over plain HTTP, where others may read along.</p>

page-nobody =
    <h1>No device waits here</h1>
    <p>It was approved or rejected, or it waited too long. Look at the device.</p>

page-joined =
    <h1>The device has joined</h1>
    <p>Go back to the app: it goes on by itself.</p>

page-accepted =
    <h1>The invitation was accepted</h1>
    <p>The device still waits for the admin of the network, who runs:</p>
    <pre>sudo maru device approve { $code }</pre>
    <p>Then the app goes on by itself.</p>

page-refused =
    <h1>That did not work</h1>
    <p>Either no device waits here any more, or the invitation is not whole, was used already, has expired, or is not for this network or device. Look at the device, copy all of the invitation, or ask the admin for another.</p>

page-unread =
    <h1>The invitation did not arrive</h1>
    <p>What was sent was too long, or it did not come to its end in time. Copy the invitation and nothing else, then try again.</p>

page-later =
    <h1>Not now</h1>
    <p>Too much was tried at once. Wait a minute, then try again.</p>

## telmeet: sign-in of messengers

page-sign-in =
    <h1>Sign in to a messenger?</h1>
    <p>An app asks to write and read as <b>{ $person }</b> on this device (<code>{ $address }</code>). The answer goes to:</p>
    <p><code>{ $target }</code></p>
    <p class="warning">Go on only if you just started to sign in with an app on this device. If somebody sent you here, close
    this page.</p>
    <form method="post" action="/sign-in/confirm">
    <input type="hidden" name="token" value="{ $token }">
    <p><button>Sign in</button></p>
    </form>

page-sign-in-app =
    <h1>Sign in to a messenger?</h1>
    <p>An app that calls itself <b>{ $app }</b> asks to write and read as <b>{ $person }</b> on this device
    (<code>{ $address }</code>). The answer goes to:</p>
    <p><code>{ $target }</code></p>
    <p class="warning">Go on only if you just started to sign in with an app on this device. If somebody sent you here, close
    this page.</p>
    <form method="post" action="/sign-in/confirm">
    <input type="hidden" name="token" value="{ $token }">
    <p><button>Sign in</button></p>
    </form>

page-sign-in-refused =
    <h1>No app can be signed in by this link</h1>
    <p>It names an app or an address that is not known here. Start to sign in again in the app.</p>

page-sign-in-expired =
    <h1>That did not work</h1>
    <p>The page was open for too long, or its button was pressed before. Start again in the app.</p>

page-account =
    <h1>Apps of { $person }</h1>
    <p>An app that is signed out loses its access at once, and what only it could decrypt.</p>
    <form method="post" action="/sign-in/account">
    <input type="hidden" name="token" value="{ $token }">
    { $rows }
    <p><button>Sign out the chosen app</button></p>
    </form>

page-reset =
    <h1>Go back to the app</h1>
    <p>This network asks for no confirmation: the app can reset encryption now. Messages that no other device can decrypt stay
    unreadable.</p>

## node-agent: trusting the network's certificate authority

page-trust =
    <h1>Trust the certificates of { $network }</h1>
    <p>Browsers and messengers open { $names } without a warning once this device trusts the network's certificate authority. It
    can only vouch for names that end in <code>{ $network }</code>, for no other site.</p>
    <p><a href="{ $file }">Download the certificate</a></p>
    <p>Compare its SHA-256 fingerprint where the system shows it: <code>{ $fingerprint }</code></p>
    <p>This page on another device: <code>{ $address }</code></p>
    { $code }
    <details><summary>Linux</summary><ol>
    <li>Run <code>sudo maru trust</code>. It also works for Chromium and Firefox.</li>
    </ol></details>
    <details><summary>Android</summary><ol>
    <li>Download the certificate.</li>
    <li>Open Settings and search for <b>CA certificate</b>. Tap it, then <b>Install anyway</b>, and choose <code>maru.crt</code>.</li>
    <li>Element X uses it. FluffyChat does not: give it the address with <code>http://</code>.</li>
    </ol></details>
    <details><summary>iPhone, iPad</summary><ol>
    <li>Open this page in Safari, download the certificate, and allow it.</li>
    <li>Settings → <b>Profile Downloaded</b> → Install.</li>
    <li>Settings → General → About → <b>Certificate Trust Settings</b>: switch it on.</li>
    </ol></details>
    <details><summary>macOS</summary><ol>
    <li>Download the certificate and open it: Keychain Access asks where to add it. Choose <b>System</b>.</li>
    <li>Open it there, then Trust → When using this certificate: <b>Always Trust</b>.</li>
    </ol></details>
    <details><summary>Windows</summary><ol>
    <li>Download the certificate and open it, then <b>Install Certificate</b> → Local Machine.</li>
    <li>Choose <b>Place all certificates in the following store</b> → Trusted Root Certification Authorities.</li>
    </ol></details>
    <details><summary>Firefox on macOS and Windows</summary><ol>
    <li>Firefox uses the system's certificates by itself. If not: Settings → Privacy &amp; Security → Certificates → <b>Allow
    Firefox to automatically trust third-party root certificates you install</b>.</li>
    </ol></details>
